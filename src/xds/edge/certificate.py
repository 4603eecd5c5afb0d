"""What a client's certificate says, read from its DER by ourselves. Pure.

gRPC hands over the certificate and some of its names, but not when it ends, and it cuts names at a NUL. The handshake
looks at the end, yet a resumed session has none: its ticket stays good for days (gRPC has no setting for that), so the
end is looked at here for every stream. This reads, and verifies nothing: the signature was checked in the handshake.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

_BEGIN: Final = b"-----BEGIN CERTIFICATE-----"
_END: Final = b"-----END CERTIFICATE-----"

_SEQUENCE: Final = 0x30
_BOOLEAN: Final = 0x01
_INTEGER: Final = 0x02
_OCTETS: Final = 0x04
_OID: Final = 0x06
_UTC_TIME: Final = 0x17
_GENERALIZED_TIME: Final = 0x18
_VERSION: Final = 0xA0
_EXTENSIONS: Final = 0xA3
_URI: Final = 0x86
_LONG_TAG: Final = 0x1F
_LONG_LENGTH: Final = 0x80
_LENGTH_BYTES_MAX: Final = 4

_SUBJECT_ALTERNATIVE_NAMES: Final = bytes.fromhex("551d11")
_BASIC_CONSTRAINTS: Final = bytes.fromhex("551d13")

_FORMATS: Final = {_UTC_TIME: (13, 2), _GENERALIZED_TIME: (15, 4)}
"""Length of a time, and digits of its year; RFC 5280 allows one form of each, in UTC with seconds."""
_CENTURY_TURN: Final = 50


class MalformedCertificate(ValueError):  # noqa: N818 (it names what is wrong, as `ValueError` does)
    """These bytes are no certificate of RFC 5280."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """What decides about a client."""

    not_before_s: float
    not_after_s: float
    """By the wall clock."""
    uris: tuple[bytes, ...]
    """All URIs among the alternative names, byte for byte."""
    issuing: bool
    """It may sign other certificates (CA:TRUE)."""


class _Element(NamedTuple):
    tag: int
    start: int
    stop: int


def read_certificate(pem: bytes) -> Certificate:
    """Read the first certificate of a PEM text. Raises `MalformedCertificate`."""
    _, begin, rest = pem.partition(_BEGIN)
    body, end, _ = rest.partition(_END)
    if not begin or not end:
        raise MalformedCertificate("no PEM")
    try:
        return read_der(binascii.a2b_base64(body))
    except binascii.Error:
        raise MalformedCertificate("no base64") from None


def read_der(der: bytes) -> Certificate:
    """Read a certificate. Raises `MalformedCertificate`."""
    outer = _children(der, 0, len(der))
    if len(outer) != 1:
        raise MalformedCertificate("not one element")
    to_be_signed = _children(der, *_inside(_nth(_children(der, *_inside(outer[0], _SEQUENCE)), 0), _SEQUENCE))
    fields = to_be_signed[1:] if to_be_signed and to_be_signed[0].tag == _VERSION else to_be_signed
    _inside(_nth(fields, 0), _INTEGER)  # the serial number: it has to be where it is expected
    validity = _children(der, *_inside(_nth(fields, 3), _SEQUENCE))
    extensions = _extensions(der, fields[6:])
    return Certificate(
        _time(der, _nth(validity, 0)),
        _time(der, _nth(validity, 1)),
        _uris(der, extensions.get(_SUBJECT_ALTERNATIVE_NAMES)),
        _issuing(der, extensions.get(_BASIC_CONSTRAINTS)),
    )


def _children(der: bytes, at: int, end: int) -> list[_Element]:
    """The elements that fill a range, in a row."""
    found = []
    while at < end:
        element = _element(der, at, end)
        found.append(element)
        at = element.stop
    return found


def _element(der: bytes, at: int, end: int) -> _Element:
    if at + 2 > end or der[at] & _LONG_TAG == _LONG_TAG:
        raise MalformedCertificate("no element")
    length, start = der[at + 1], at + 2
    if length >= _LONG_LENGTH:
        size = length - _LONG_LENGTH
        if not 0 < size <= min(_LENGTH_BYTES_MAX, end - start):
            raise MalformedCertificate("no length")
        length = int.from_bytes(der[start : start + size])
        start += size
    if start + length > end:
        raise MalformedCertificate("cut off")
    return _Element(der[at], start, start + length)


def _nth(elements: list[_Element], index: int) -> _Element:
    if index >= len(elements):
        raise MalformedCertificate("something is missing")
    return elements[index]


def _inside(element: _Element, tag: int) -> tuple[int, int]:
    if element.tag != tag:
        raise MalformedCertificate("something else than expected")
    return element.start, element.stop


def _extensions(der: bytes, fields: list[_Element]) -> dict[bytes, _Element]:
    """Each extension's value by its identifier."""
    found: dict[bytes, _Element] = {}
    for field in fields:
        if field.tag != _EXTENSIONS:
            continue
        whole = _nth(_children(der, field.start, field.stop), 0)
        for extension in _children(der, *_inside(whole, _SEQUENCE)):
            parts = _children(der, *_inside(extension, _SEQUENCE))
            start, stop = _inside(_nth(parts, 0), _OID)
            _inside(parts[-1], _OCTETS)
            if found.setdefault(der[start:stop], parts[-1]) is not parts[-1]:
                raise MalformedCertificate("an extension stands twice")
    return found


def _uris(der: bytes, value: _Element | None) -> tuple[bytes, ...]:
    if value is None:
        return ()
    whole = _nth(_children(der, value.start, value.stop), 0)
    names = _children(der, *_inside(whole, _SEQUENCE))
    return tuple(der[name.start : name.stop] for name in names if name.tag == _URI)


def _issuing(der: bytes, value: _Element | None) -> bool:
    if value is None:
        return False
    whole = _nth(_children(der, value.start, value.stop), 0)
    parts = _children(der, *_inside(whole, _SEQUENCE))
    return bool(parts) and parts[0].tag == _BOOLEAN and any(der[parts[0].start : parts[0].stop])


def _time(der: bytes, element: _Element) -> float:
    text = der[element.start : element.stop]
    length, digits = _FORMATS.get(element.tag, (-1, 0))
    if len(text) != length or text[-1:] != b"Z" or not text[:-1].isdigit():
        raise MalformedCertificate("no time")
    year = int(text[:digits])
    if element.tag == _UTC_TIME:
        year += 1900 if year >= _CENTURY_TURN else 2000
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(digits, length - 1, 2))
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        raise MalformedCertificate("no time") from None
