"""Finds known secrets in any output, in the forms in which they could stand there."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

WHITE = re.compile(rb"\s+|\\n|\\r")


@dataclass(frozen=True)
class Canary:
    """A secret and every form of it that is searched for."""

    name: str
    forms: tuple[bytes, ...]

    @classmethod
    def of_bytes(cls, name: str, secret: bytes) -> Canary:
        """Raw, hexadecimal (either case), base64 (both alphabets, whatever comes before it)."""
        forms = {secret, secret.hex().encode(), secret.hex().upper().encode()}
        for shift in range(3):
            padded = base64.b64encode(b"\0" * shift + secret)
            core = padded[4 if shift else 0 :].rstrip(b"=")[:-2]
            forms |= {core, core.replace(b"+", b"-").replace(b"/", b"_")}
        return cls(name, tuple(forms))

    @classmethod
    def of_key(cls, name: str, pem: bytes) -> Canary:
        """The scalar of an EC key, and its PKCS#8 and SEC 1 encodings."""
        key = load_pem_private_key(pem, password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        scalar = key.private_numbers().private_value.to_bytes(32, "big")
        forms = set(cls.of_bytes(name, scalar).forms)
        for kind in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            forms |= set(cls.of_bytes(name, key.private_bytes(Encoding.DER, kind, NoEncryption())).forms)
        return cls(name, tuple(forms))

    def found_in(self, output: bytes) -> bool:
        """White space and written line ends do not hide it: PEM and JSON break lines."""
        squeezed = WHITE.sub(b"", output)
        return any(form in output or form in squeezed for form in self.forms)
