"""Looks at a finished certificate as a stranger would, and compares it with the order. Shares no code with `profile`.

What is written here follows the standards' text once more (identity 1A, 1B, 30 to 35): a mistake would have to be made
twice to go unnoticed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ca.errors import Code, LocalError, RefusedError
from ca.identity.order import Order, PublicKey
from ca.signer import der

_SPIFFE_ID: Final = re.compile(rb"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)*", re.ASCII)
_URI_BYTES_MAX: Final = 2048
_TBS_BYTES_MAX: Final = 6 * 1024
_BACKDATE_MAX: Final = timedelta(minutes=5)

_SAN: Final = "2.5.29.17"
_CONSTRAINTS: Final = "2.5.29.19"
_USAGE: Final = "2.5.29.15"
_PURPOSES: Final = "2.5.29.37"
_SUBJECT_KEY: Final = "2.5.29.14"
_AUTHORITY_KEY: Final = "2.5.29.35"

# Extension and whether it is critical. A leaf's names are critical because its subject is empty.
_LEAF: Final = {
    _SAN: True,
    _CONSTRAINTS: True,
    _USAGE: True,
    _PURPOSES: False,
    _SUBJECT_KEY: False,
    _AUTHORITY_KEY: False,
}
_INTERMEDIATE: Final = {_SAN: False, _CONSTRAINTS: True, _USAGE: True, _SUBJECT_KEY: False, _AUTHORITY_KEY: False}
_ROOT: Final = {_SAN: False, _CONSTRAINTS: True, _USAGE: True, _SUBJECT_KEY: False}
_SERVER_AND_CLIENT: Final = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]


_ISSUER: Final = 3
_SUBJECT: Final = 5
_SPKI: Final = 6
"""Places in a version 3 TBSCertificate."""

_EMPTY_NAME: Final = b"\x30\x00"


@dataclass(frozen=True, slots=True)
class IssuerSide:
    """What the linter compares with, read from the issuer's certificate once."""

    name_der: bytes
    key_identifier: bytes
    not_before: datetime
    not_after: datetime

    @classmethod
    def of(cls, certificate: x509.Certificate) -> IssuerSide:
        """Read it."""
        return cls(
            name_der=_fields(certificate)[_SUBJECT],
            key_identifier=certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    certificate: x509.Certificate
    order: Order
    issuer: IssuerSide | None
    fields: list[bytes]
    """The raw elements of its TBSCertificate."""
    critical: dict[str, bool]
    values: dict[str, Any]


def lint(certificate: x509.Certificate, order: Order, issuer: IssuerSide | None) -> None:
    """Raise `RefusedError` with every finding, or return. `issuer` is None for a root."""
    try:
        extensions = list(certificate.extensions)
        seen = _Seen(
            certificate,
            order,
            issuer,
            fields=_fields(certificate),
            critical={extension.oid.dotted_string: extension.critical for extension in extensions},
            values={extension.oid.dotted_string: extension.value for extension in extensions},
        )
        findings = list(_extension_set(seen)) or list(_contents(seen))
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, LocalError) as error:
        findings = [f"cannot be read: {error}"]
    if findings:
        raise RefusedError(Code.LINT, f"the prepared {order.kind} certificate is not right: {'; '.join(findings)}")


def _fields(certificate: x509.Certificate) -> list[bytes]:
    fields = der.children(certificate.tbs_certificate_bytes)
    if certificate.version is not x509.Version.v3 or len(fields) <= _SPKI:
        raise ValueError("it is no certificate of version 3")
    return fields


def _extension_set(seen: _Seen) -> Iterator[str]:
    """First of all: the rest looks into extensions that are known to be there."""
    expected = _LEAF if not seen.order.kind.signs else _ROOT if seen.issuer is None else _INTERMEDIATE
    found = seen.critical
    if found == expected:
        return
    for oid in sorted(found.keys() | expected.keys()):
        if oid not in found or oid not in expected:
            yield f"extension {oid} is {'superfluous' if oid in found else 'missing'}"
        elif found[oid] is not expected[oid]:
            yield f"extension {oid} is {'' if found[oid] else 'not '}critical"


def _contents(seen: _Seen) -> Iterator[str]:
    yield from _frame(seen.certificate)
    yield from _names(seen)
    yield from _key(seen)
    yield from _time(seen)
    yield from _issuer(seen)
    yield from _authority(seen) if seen.order.kind.signs else _leaf(seen)


def _frame(certificate: x509.Certificate) -> Iterator[str]:
    if not 1 << 64 <= certificate.serial_number < 1 << 159:
        yield "serial number is not a positive random number of at most 20 octets"
    if not isinstance(certificate.signature_hash_algorithm, hashes.SHA256 | hashes.SHA384):
        yield "signature hash is neither SHA-256 nor SHA-384"
    if len(certificate.tbs_certificate_bytes) > _TBS_BYTES_MAX:
        yield f"larger than {_TBS_BYTES_MAX} bytes"


def _names(seen: _Seen) -> Iterator[str]:
    order, names = seen.order, list(seen.values[_SAN])
    uris = [name.value for name in names if isinstance(name, x509.UniformResourceIdentifier)]
    if uris != [str(order.spiffe_id)]:
        yield "the URI names are not exactly the ordered SPIFFE ID"
    for uri in uris:
        raw = uri.encode()
        if len(raw) > _URI_BYTES_MAX or _SPIFFE_ID.fullmatch(raw) is None:
            yield "the URI name is no SPIFFE ID"
        if (raw.count(b"/") > 2) is order.kind.signs:  # noqa: PLR2004 (the two of spiffe://)
            yield "a leaf's SPIFFE ID has a path, an authority's has none"
    if [name.value for name in names if isinstance(name, x509.DNSName)] != list(order.dns_names):
        yield "the DNS names are not the ordered ones"
    if [name.value for name in names if isinstance(name, x509.IPAddress)] != list(order.ip_addresses):
        yield "the IP addresses are not the ordered ones"
    if len(names) != len(uris) + len(order.dns_names) + len(order.ip_addresses):
        yield "there are names of another type"


def _key(seen: _Seen) -> Iterator[str]:
    spki = seen.fields[_SPKI]
    if hashlib.sha256(spki).hexdigest() != seen.order.spki_sha256:
        yield "the public key is not the ordered one"
    if not _allowed(seen.order.public_key):
        yield "the key type is not allowed"
    _, bit_string = der.children(spki)
    start, end = der.split(bit_string)
    identifier = hashlib.sha1(bit_string[start + 1 : end], usedforsecurity=False).digest()  # RFC 5280 4.2.1.2, method 1
    if seen.values[_SUBJECT_KEY].digest != identifier:
        yield "the subject key identifier is not of the subject's key"


def _allowed(key: PublicKey) -> bool:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
    return 2048 <= key.key_size <= 4096  # noqa: PLR2004 (the profile's bounds, written once more)


def _time(seen: _Seen) -> Iterator[str]:
    begin, end = seen.certificate.not_valid_before_utc, seen.certificate.not_valid_after_utc
    if begin >= end:
        yield "it ends before it begins"
    if end - begin > timedelta(seconds=seen.order.ttl_s) + _BACKDATE_MAX:
        yield "it lives longer than ordered"
    if seen.issuer is not None and (begin < seen.issuer.not_before or end > seen.issuer.not_after):
        yield "it is valid when its issuer is not"


def _issuer(seen: _Seen) -> Iterator[str]:
    if seen.issuer is None:
        if seen.fields[_ISSUER] != seen.fields[_SUBJECT]:
            yield "a root is issued by itself"
        return
    if seen.fields[_ISSUER] != seen.issuer.name_der:
        yield "the issuer's name is not the issuer's"
    named = seen.values[_AUTHORITY_KEY]
    if named.key_identifier != seen.issuer.key_identifier or named.authority_cert_issuer is not None:
        yield "the authority key identifier is not the issuer's"


def _leaf(seen: _Seen) -> Iterator[str]:
    if seen.fields[_SUBJECT] != _EMPTY_NAME:
        yield "a leaf's subject is empty"
    constraints = seen.values[_CONSTRAINTS]
    if constraints.ca or constraints.path_length is not None:
        yield "a leaf is no CA"
    if _usages(seen) != ["digital_signature"]:
        yield "a leaf's key usage is digitalSignature, nothing else"
    if sorted(purpose.dotted_string for purpose in seen.values[_PURPOSES]) != _SERVER_AND_CLIENT:
        yield "a leaf's extended key usage is serverAuth and clientAuth"


def _authority(seen: _Seen) -> Iterator[str]:
    if seen.fields[_SUBJECT] == _EMPTY_NAME:
        yield "an authority has a subject"
    constraints = seen.values[_CONSTRAINTS]
    if not constraints.ca or constraints.path_length != (1 if seen.issuer is None else 0):
        yield "an authority is a CA of path length 1 (root) or 0 (intermediate)"
    if _usages(seen) != ["crl_sign", "key_cert_sign"]:
        yield "an authority's key usage is keyCertSign and cRLSign, nothing else"


def _usages(seen: _Seen) -> list[str]:
    usage = seen.values[_USAGE]
    names = (
        "content_commitment",
        "crl_sign",
        "data_encipherment",
        "digital_signature",
        "key_agreement",
        "key_cert_sign",
        "key_encipherment",
    )
    return [name for name in names if getattr(usage, name)]
