"""Keys. The only module that takes or returns key bytes; elsewhere a key is something that signs.

An authority's key at rest is an envelope: PKCS#8 sealed with a key of its own (AES-256-GCM), which is sealed with the
key-encryption key. Both seals carry the same associated data, so a sealed key opens only for the authority, kind,
schema and public key that it was sealed for.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ca.errors import ConfigError, LocalError

KEK_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class _Secret:
    """What holds key bytes: not shown, compared, copied, pickled or hashed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} redacted>"

    def __eq__(self, other: object) -> NoReturn:
        raise TypeError("keys are not compared: it would not take constant time")

    __hash__ = None  # type: ignore[assignment]

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("keys are neither pickled nor copied")

    def __copy__(self) -> NoReturn:
        raise TypeError("keys are neither pickled nor copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError("keys are neither pickled nor copied")


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed key: two AES-256-GCM boxes, nonce first."""

    wrapped: bytes
    """The data key, under the key-encryption key."""
    box: bytes
    """PKCS#8, under the data key."""


class KeyEncryptionKey(_Secret):
    """The key that protects the store's files."""

    __slots__ = ("__key",)

    def __init__(self, key: bytes) -> None:
        self.__key = key

    @classmethod
    def generate(cls) -> KeyEncryptionKey:
        """A new one."""
        return cls(os.urandom(KEK_BYTES))

    @classmethod
    def from_file(cls, data: bytes, path: object) -> KeyEncryptionKey:
        """Read a key file: 64 hexadecimal digits, or 32 raw bytes. Raises `ConfigError`."""
        if len(data) == KEK_BYTES:
            return cls(data)
        try:
            key = bytes.fromhex(data.decode("ascii").strip())
        except ValueError:
            key = b""
        if len(key) != KEK_BYTES:
            raise ConfigError(f"{path} holds no key: expected 64 hexadecimal digits (openssl rand -hex 32) or 32 bytes")
        return cls(key)

    def file_content(self) -> bytes:
        """What belongs into the key file."""
        return self.__key.hex().encode() + b"\n"

    @property
    def identifier(self) -> str:
        """Tells keys apart without telling them."""
        return hmac.new(self.__key, b"legation key identifier", hashlib.sha256).hexdigest()[:16]

    def authentication_code(self, data: bytes) -> str:
        """Authenticates what is stored in clear."""
        return hmac.new(self.__key, b"legation state\0" + data, hashlib.sha256).hexdigest()

    def seal(self, data: bytes, associated: bytes) -> bytes:
        """Encrypt and authenticate."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.__key).encrypt(nonce, data, associated)

    def open(self, box: bytes, associated: bytes) -> bytes:
        """Decrypt, or raise `InvalidTag`."""
        if len(box) < _NONCE_BYTES:
            raise InvalidTag
        return AESGCM(self.__key).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], associated)


class SigningKey(_Secret):
    """An authority's key (P-256). `sign_tbs` is called by `ca.signer.issuer` alone; a test looks at that."""

    __slots__ = ("__key",)

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self.__key = key

    @classmethod
    def generate(cls) -> SigningKey:
        """A new one."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""
        return self.__key.public_key()

    def sign_tbs(self, tbs: bytes) -> bytes:
        """Signature over the DER of a TBSCertificate: ECDSA with SHA-256."""
        return self.__key.sign(tbs, ec.ECDSA(hashes.SHA256()))

    def sealed(self, kek: KeyEncryptionKey, associated: bytes) -> Sealed:
        """The key, fit for the disk."""
        data_key = os.urandom(KEK_BYTES)
        pkcs8 = self.__key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Sealed(kek.seal(data_key, associated), KeyEncryptionKey(data_key).seal(pkcs8, associated))

    @classmethod
    def unsealed(cls, sealed: Sealed, kek: KeyEncryptionKey, associated: bytes) -> SigningKey:
        """The key again. Raises `LocalError` if it was sealed with another key or for another use, or is damaged."""
        try:
            data_key = kek.open(sealed.wrapped, associated)
            pkcs8 = KeyEncryptionKey(data_key).open(sealed.box, associated)
            key = serialization.load_der_private_key(pkcs8, password=None)
        except (InvalidTag, ValueError):
            raise LocalError(
                "the sealed key cannot be opened: it is damaged, or not the one that belongs here"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise LocalError("the sealed key is of a type that this version does not use")
        return cls(key)


def throw_away_key() -> ec.EllipticCurvePrivateKey:
    """A key of the authority's algorithm that signs what is linted, and nothing that anybody trusts."""
    return ec.generate_private_key(ec.SECP256R1())


def public_bytes(public_key: object) -> bytes:
    """SubjectPublicKeyInfo, DER."""
    return public_key.public_bytes(  # type: ignore[attr-defined,no-any-return]
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
