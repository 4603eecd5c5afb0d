"""Takes the public key out of a certificate signing request, and nothing else (identity 13, 49, 50)."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.errors import Code, RefusedError
from ca.identity.order import PublicKey

CSR_BYTES_MAX: Final = 16 * 1024
"""An RSA-4096 request with a dozen attributes has 3 KB."""

RSA_BITS: Final = range(2048, 4097)
RSA_EXPONENT_MIN: Final = 65_537


def public_key_of(csr_der: bytes) -> PublicKey:
    """The public key, once its owner's signature and its type are checked. Raises `RefusedError`."""
    if len(csr_der) > CSR_BYTES_MAX:
        raise RefusedError(Code.TOO_LARGE, f"the signing request has {len(csr_der)} bytes, at most {CSR_BYTES_MAX}")
    try:
        csr = x509.load_der_x509_csr(csr_der)
        key = csr.public_key()
        hash_algorithm = csr.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise RefusedError(
            Code.CSR, "the signing request cannot be read as DER PKCS#10, or its key is unknown"
        ) from None
    checked = _allowed(key)  # before the signature: a huge key would make the check below expensive
    if not isinstance(hash_algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise RefusedError(Code.CSR_SIGNATURE, "the signing request is signed with a weak hash: use SHA-256 or better")
    if not _signed(csr):
        raise RefusedError(Code.CSR_SIGNATURE, "the signing request is not signed by the key that it names")
    return checked


def _signed(csr: x509.CertificateSigningRequest) -> bool:
    try:
        return csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):  # for instance an RSA signature beside an EC key
        return False


def _allowed(key: object) -> PublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        exponent = key.public_numbers().e
        if key.key_size in RSA_BITS and exponent >= RSA_EXPONENT_MIN and exponent % 2 == 1:
            return key
    raise RefusedError(
        Code.KEY_TYPE, "this key type is not certified: use P-256 (the default), P-384, or RSA of 2048 to 4096 bits"
    )
