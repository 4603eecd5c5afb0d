"""Verifies a peer's chain: leaf, intermediates, and the roots of the trust domain that its ID names (identity 36, 37).

Small on purpose: X.509 path validation with what SPIFFE asks for, built on `verify_directly_issued_by`. What it does
not know and a certificate marks as critical is refused.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from ca.errors import Fault, PeerError
from ca.identity.bundle import Bundle
from xds.names import InvalidSpiffeId, SpiffeId, shown

ExtensionT = TypeVar("ExtensionT", bound=x509.ExtensionType)

CHAIN_MAX: Final = 4
"""Certificates that a peer may present; ours present two. It also bounds the paths that are tried (3! here)."""

_KNOWN: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


class Reason(enum.StrEnum):
    """Why a chain is refused, one for each cause."""

    EMPTY_CHAIN = "empty_chain"
    CHAIN_TOO_LONG = "chain_too_long"
    MALFORMED = "malformed"
    NO_BUNDLE = "no_bundle"
    NO_ROOTS = "no_roots"
    WRONG_TRUST_DOMAIN = "wrong_trust_domain"
    NO_URI_SAN = "no_uri_san"
    SEVERAL_URI_SANS = "several_uri_sans"
    INVALID_SPIFFE_ID = "invalid_spiffe_id"
    NO_PATH = "no_path"
    LEAF_IS_CA = "leaf_is_ca"
    LEAF_SIGNS_CERTIFICATES = "leaf_signs_certificates"
    LEAF_SIGNS_CRLS = "leaf_signs_crls"
    LEAF_KEY_USAGE = "leaf_key_usage"
    UNKNOWN_CRITICAL = "unknown_critical"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"


class ChainError(PeerError):
    """The peer's chain is refused; `reason` says why, for programs."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(Fault.UNAUTHENTICATED, message)
        self.reason = reason


def verify_peer(chain: Sequence[x509.Certificate], bundles: Mapping[str, Bundle], now: datetime) -> SpiffeId:
    """Verified ID of a peer; its own trust domain says which bundle counts, never the union. Raises `ChainError`."""
    if not chain:
        raise ChainError(Reason.EMPTY_CHAIN, "the peer sent no certificate")
    spiffe_id = spiffe_id_of(chain[0])
    if not bundles:
        raise ChainError(Reason.NO_BUNDLE, "there is no bundle to verify with")
    bundle = bundles.get(spiffe_id.trust_domain)
    if bundle is None:
        raise ChainError(Reason.WRONG_TRUST_DOMAIN, f"no bundle of the trust domain of {shown(str(spiffe_id))}")
    return verify_chain(chain[0], chain[1:], bundle, now)


def verify_chain(
    leaf: x509.Certificate | None, intermediates: Sequence[x509.Certificate], bundle: Bundle | None, now: datetime
) -> SpiffeId:
    """The ID of the leaf, verified against the roots of its trust domain. Raises `ChainError`."""
    if leaf is None:
        raise ChainError(Reason.EMPTY_CHAIN, "there is no leaf certificate")
    if len(intermediates) >= CHAIN_MAX:
        raise ChainError(Reason.CHAIN_TOO_LONG, f"more than {CHAIN_MAX} certificates")
    spiffe_id = spiffe_id_of(leaf)
    if bundle is None:
        raise ChainError(Reason.NO_BUNDLE, "there is no bundle to verify with")
    if bundle.trust_domain != spiffe_id.trust_domain:
        raise ChainError(
            Reason.WRONG_TRUST_DOMAIN, f"{shown(str(spiffe_id))} is not of the trust domain {bundle.trust_domain}"
        )
    if not bundle.roots:
        raise ChainError(Reason.NO_ROOTS, f"the bundle of {bundle.trust_domain} has no root")
    _check_leaf(leaf)
    _check_time(leaf, now)
    _check_path(leaf, intermediates, bundle, now)
    return spiffe_id


def spiffe_id_of(leaf: x509.Certificate) -> SpiffeId:
    """The one SPIFFE ID that a leaf claims. Raises `ChainError`; verifies nothing else."""
    san = _value(leaf, x509.SubjectAlternativeName)
    uris = [] if san is None else san.get_values_for_type(x509.UniformResourceIdentifier)
    if not uris:
        raise ChainError(Reason.NO_URI_SAN, "the certificate has no URI SAN, so it names no SPIFFE ID")
    if len(uris) > 1:
        # Envoy matches any of them but takes the trust domain from the first (facts A4).
        raise ChainError(Reason.SEVERAL_URI_SANS, f"the certificate has {len(uris)} URI SANs, exactly one is allowed")
    try:
        spiffe_id = SpiffeId.parse(uris[0])
    except InvalidSpiffeId as error:
        raise ChainError(Reason.INVALID_SPIFFE_ID, f"the certificate's SPIFFE ID {error}") from None
    if not spiffe_id.path:
        raise ChainError(Reason.NO_PATH, f"{shown(uris[0])} names a trust domain, not a workload")
    return spiffe_id


def _check_leaf(leaf: x509.Certificate) -> None:
    constraints = _value(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise ChainError(Reason.LEAF_IS_CA, "a CA certificate cannot authenticate a peer")
    usage = _value(leaf, x509.KeyUsage)
    if usage is not None and usage.key_cert_sign:
        raise ChainError(Reason.LEAF_SIGNS_CERTIFICATES, "the leaf's key usage has keyCertSign")
    if usage is not None and usage.crl_sign:
        raise ChainError(Reason.LEAF_SIGNS_CRLS, "the leaf's key usage has cRLSign")
    if usage is None or not usage.digital_signature:
        raise ChainError(Reason.LEAF_KEY_USAGE, "the leaf's key usage lacks digitalSignature")
    _check_critical(leaf)


def _check_time(certificate: x509.Certificate, now: datetime) -> None:
    if now < certificate.not_valid_before_utc:
        raise ChainError(Reason.NOT_YET_VALID, f"not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S}")
    if now > certificate.not_valid_after_utc:
        raise ChainError(Reason.EXPIRED, f"expired at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}")


def _check_critical(certificate: x509.Certificate) -> None:
    for extension in _extensions(certificate):
        if extension.critical and extension.oid not in _KNOWN:
            raise ChainError(
                Reason.UNKNOWN_CRITICAL, f"critical extension {extension.oid.dotted_string} is not understood"
            )


def _check_path(
    leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], bundle: Bundle, now: datetime
) -> None:
    """Walk upwards; a root ends the walk, each intermediate is used at most once. The last failure is reported."""
    failure = ChainError(Reason.UNTRUSTED, f"no path to a root of {bundle.trust_domain}")
    paths: list[tuple[x509.Certificate, int, tuple[x509.Certificate, ...]]] = [(leaf, 0, tuple(intermediates))]
    while paths:
        certificate, below, unused = paths.pop()
        for issuer in (*bundle.roots, *unused):
            if not _issued(certificate, issuer):
                continue
            try:
                _check_issuer(issuer, below, now)
            except ChainError as error:
                failure = error
                continue
            if issuer in bundle.roots:
                return
            paths.append((issuer, below + 1, tuple(other for other in unused if other != issuer)))
    raise failure


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_issuer(issuer: x509.Certificate, below: int, now: datetime) -> None:
    constraints, usage = _value(issuer, x509.BasicConstraints), _value(issuer, x509.KeyUsage)
    if constraints is None or not constraints.ca:
        raise ChainError(Reason.UNTRUSTED, "an issuer in the chain is no CA")
    if usage is None or not usage.key_cert_sign:
        raise ChainError(Reason.UNTRUSTED, "an issuer in the chain lacks keyCertSign")
    if constraints.path_length is not None and below > constraints.path_length:
        raise ChainError(Reason.UNTRUSTED, "the chain is longer than an issuer's path length allows")
    _check_critical(issuer)
    _check_time(issuer, now)


def _extensions(certificate: x509.Certificate) -> x509.Extensions:
    try:
        return certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ChainError(Reason.MALFORMED, f"the extensions cannot be read: {shown(str(error))}") from None


def _value(certificate: x509.Certificate, kind: type[ExtensionT]) -> ExtensionT | None:
    try:
        return _extensions(certificate).get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
