"""The trust bundle of one trust domain: its self-signed roots in one stable order, and a sequence number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import LocalError
from xds.names import check_trust_domain


@dataclass(frozen=True, slots=True)
class Bundle:
    """Roots of one trust domain. Two bundles are never merged (identity 45): there is no operation that would."""

    trust_domain: str
    roots: tuple[x509.Certificate, ...]
    sequence: int

    @classmethod
    def build(cls, trust_domain: str, roots: Iterable[x509.Certificate], sequence: int) -> Bundle:
        """Order and check the roots. Raises `LocalError` for an empty bundle or one that holds anything else."""
        check_trust_domain(trust_domain)
        unique = {root.public_bytes(Encoding.DER): root for root in roots}
        ordered = sorted(unique.values(), key=lambda root: (root.not_valid_before_utc, key_identifier(root)))
        if not ordered:
            raise LocalError(f"the bundle of {trust_domain} would be empty, which revokes everything")
        for root in ordered:
            _check_self_signed(root)
        return cls(trust_domain, tuple(ordered), sequence)

    @classmethod
    def from_der(cls, trust_domain: str, roots_der: Iterable[bytes], sequence: int) -> Bundle:
        """Read a bundle from what the signer answered. Raises `LocalError`."""
        try:
            roots = [x509.load_der_x509_certificate(der) for der in roots_der]
        except (ValueError, x509.InvalidVersion) as error:
            raise LocalError(f"a root in the bundle of {trust_domain} cannot be read: {error}") from None
        return cls.build(trust_domain, roots, sequence)

    @property
    def roots_der(self) -> tuple[bytes, ...]:
        """DER of each root."""
        return tuple(root.public_bytes(Encoding.DER) for root in self.roots)

    @property
    def pem(self) -> bytes:
        """All roots as PEM; equal content gives equal bytes (identity 48)."""
        return b"".join(root.public_bytes(Encoding.PEM) for root in self.roots)


def key_identifier(certificate: x509.Certificate) -> bytes:
    """Subject key identifier; empty where the certificate has none."""
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return b""


def _check_self_signed(root: x509.Certificate) -> None:
    # Envoy takes an intermediate as anchor without complaint and then refuses every peer (facts 1).
    try:
        root.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        raise LocalError(
            f"{root.subject.rfc4514_string()} is not self-signed; only roots belong into a bundle"
        ) from None
