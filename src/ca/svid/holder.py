"""A leaf key and the certificate that goes with it. The only place where a leaf key becomes bytes is `Holder.key_pem`.

Neither object can be printed, pickled, copied or compared by value: a key leaves by name or not at all.
"""

from __future__ import annotations

import hashlib
from typing import NoReturn

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca.svid.schedule import Life
from xds.names import SpiffeId


class _Guarded:
    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} redacted>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not serialised: it holds a private key")

    def __copy__(self) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not copied: it holds a private key")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not copied: it holds a private key")


class LeafKey(_Guarded):
    """A fresh P-256 key: what Envoy accepts at both ends with its defaults (facts 6)."""

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())

    def csr_der(self) -> bytes:
        """Proof of possession; it names nothing, because the signer takes only the public key from it."""
        request = x509.CertificateSigningRequestBuilder(subject_name=x509.Name([])).sign(self._key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.DER)

    def matches(self, certificate: x509.Certificate) -> bool:
        """True where the certificate is for this key."""
        return _spki(certificate.public_key()) == _spki(self._key.public_key())

    def _pem(self) -> bytes:
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Holder(_Guarded):
    """One SVID: key, chain (leaf first, no root) and what people ask about it. It never changes."""

    __slots__ = ("_key", "chain_der", "fingerprint", "life", "spiffe_id", "truncated")

    def __init__(
        self, key: LeafKey, chain_der: tuple[bytes, ...], spiffe_id: SpiffeId, life: Life, *, truncated: bool
    ) -> None:
        self._key = key
        self.chain_der = chain_der
        self.spiffe_id = spiffe_id
        self.life = life
        self.truncated = truncated
        self.fingerprint = hashlib.sha256(chain_der[0]).hexdigest()

    @property
    def serial(self) -> str:
        """The serial as people compare it: lower-case hex."""
        return f"{self.life.serial:x}"

    def chain_pem(self) -> bytes:
        """The chain for a TLS stack."""
        return b"".join(certificate_pem(der) for der in self.chain_der)

    def key_pem(self) -> bytes:
        """The key itself, PKCS#8; for SDS, for our own listener and for files of 0600 only."""
        return self._key._pem()  # noqa: SLF001 (the two classes are one thing)

    def __repr__(self) -> str:
        return f"<Holder {self.spiffe_id} serial {self.serial} redacted>"


def certificate_pem(der: bytes) -> bytes:
    """A certificate in PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def _spki(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return b""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
