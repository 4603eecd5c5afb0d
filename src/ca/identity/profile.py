"""What certificates say: templates of leafs, intermediates and roots (identity 1A, 1B). No key, no clock, no chance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca.errors import Code, RefusedError
from ca.identity.lifetimes import LEAF_MIN_S
from ca.identity.order import Kind, Order, PublicKey


@dataclass(frozen=True, slots=True)
class IssuerFacts:
    """What a template needs to know of its issuer; all of it stands in the issuer's certificate."""

    name: x509.Name
    key_identifier: x509.SubjectKeyIdentifier
    not_before: datetime
    not_after: datetime

    @classmethod
    def of(cls, certificate: x509.Certificate) -> IssuerFacts:
        """Read them from the issuer's certificate."""
        return cls(
            name=certificate.subject,
            key_identifier=certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )


@dataclass(frozen=True, slots=True)
class Window:
    """When a certificate holds. `issued_at` is the instant from which its life is counted."""

    issued_at: datetime
    not_before: datetime
    not_after: datetime
    truncated: bool
    """Shorter than ordered, because the issuer ends."""


@dataclass(frozen=True, slots=True)
class Template:
    """An unsigned certificate, complete."""

    subject: x509.Name
    issuer: x509.Name
    public_key: PublicKey
    serial: int
    window: Window
    extensions: tuple[x509.Extension[x509.ExtensionType], ...]


_LEAF_KEY_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_CA_KEY_USAGE: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
_NO_NAME: Final = x509.Name([])
_PATH_LENGTH: Final = {Kind.ROOT: 1, Kind.INTERMEDIATE: 0}


def _extension(value: x509.ExtensionType, *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    return x509.Extension(value.oid, critical, value)


_LEAF_CONSTANT: Final = (
    _extension(x509.BasicConstraints(ca=False, path_length=None), critical=True),
    _extension(_LEAF_KEY_USAGE, critical=True),
    _extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
    ),
)


def template(order: Order, issuer: IssuerFacts | None, *, now: datetime, backdate_s: int, serial: int) -> Template:
    """The certificate that the order asks for, from that issuer; a root has none. Raises `RefusedError`."""
    key_identifier = x509.SubjectKeyIdentifier.from_public_key(order.public_key)
    subject = _authority_name(order.kind, key_identifier) if order.kind.signs else _NO_NAME
    return Template(
        subject=subject,
        issuer=issuer.name if issuer is not None else subject,
        public_key=order.public_key,
        serial=serial,
        window=window(order, issuer, now=now, backdate_s=backdate_s),
        extensions=(
            _names(order, critical=not order.kind.signs),
            *(_authority(order.kind) if order.kind.signs else _LEAF_CONSTANT),
            _extension(key_identifier, critical=False),
            *(() if issuer is None else (_issued_by(issuer),)),
        ),
    )


def window(order: Order, issuer: IssuerFacts | None, *, now: datetime, backdate_s: int) -> Window:
    """When the ordered certificate holds, never outside its issuer's time (identity 11, 125). Raises `RefusedError`."""
    issued_at = now.replace(microsecond=0)
    not_before = issued_at - timedelta(seconds=backdate_s)
    not_after = issued_at + timedelta(seconds=order.ttl_s)
    if issuer is None:
        return Window(issued_at, not_before, not_after, truncated=False)
    if now < issuer.not_before:
        raise RefusedError(
            Code.CLOCK,
            f"the clock says {now:%Y-%m-%d %H:%M:%S}, before the issuer began ({issuer.not_before:%Y-%m-%d %H:%M:%S}): "
            "set the clock of the signer's machine",
        )
    if issuer.not_after - issued_at < timedelta(seconds=LEAF_MIN_S):
        raise RefusedError(
            Code.ISSUER_ENDED,
            f"the issuing certificate ends at {issuer.not_after:%Y-%m-%d %H:%M:%S}; nothing can be issued from it",
        )
    return Window(
        issued_at,
        max(not_before, issuer.not_before),
        min(not_after, issuer.not_after),
        truncated=not_after > issuer.not_after,
    )


def _names(order: Order, *, critical: bool) -> x509.Extension[x509.ExtensionType]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(str(order.spiffe_id))]
    names += [x509.DNSName(name) for name in order.dns_names]
    names += [x509.IPAddress(address) for address in order.ip_addresses]
    return _extension(x509.SubjectAlternativeName(names), critical=critical)


def _authority(kind: Kind) -> tuple[x509.Extension[x509.ExtensionType], ...]:
    return (
        _extension(x509.BasicConstraints(ca=True, path_length=_PATH_LENGTH[kind]), critical=True),
        _extension(_CA_KEY_USAGE, critical=True),
    )


def _issued_by(issuer: IssuerFacts) -> x509.Extension[x509.ExtensionType]:
    # From the issuer's certificate and not from its key, so that a foreign way of computing it still matches.
    return _extension(
        x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer.key_identifier), critical=False
    )


def _authority_name(kind: Kind, key_identifier: x509.SubjectKeyIdentifier) -> x509.Name:
    # Unique per key: path building must never meet two authorities of one name (identity 23).
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Legation"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Legation {kind}"),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, key_identifier.digest.hex()),
        ]
    )
