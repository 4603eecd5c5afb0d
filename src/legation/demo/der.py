"""Serial and validity of a certificate, read from its DER form. Pure; no more of X.509 than that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

CONTEXT_0: Final = 0xA0
UTC_TIME: Final = 0x17
LONG_FORM: Final = 0x80


@dataclass(frozen=True, slots=True)
class Shown:
    """What a peer presented in a handshake."""

    serial: str
    """Hexadecimal, as OpenSSL prints it, in lower case."""
    not_before: datetime
    not_after: datetime


def read_certificate(der: bytes) -> Shown:
    """Read one certificate. Raises `ValueError` for what is none."""
    _, certificate, _ = _element(der)
    _, signed, _ = _element(certificate)
    tag, value, rest = _element(signed)
    if tag == CONTEXT_0:  # the version, absent in v1
        _, value, rest = _element(rest)
    serial = value
    for _ in ("signature algorithm", "issuer"):
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    begin_tag, begin, rest = _element(validity)
    end_tag, end, _ = _element(rest)
    return Shown(f"{int.from_bytes(serial, 'big'):x}", _time(begin_tag, begin), _time(end_tag, end))


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag, content and what follows."""
    if len(data) < 2:  # noqa: PLR2004 (a tag and a length)
        raise ValueError("ends in the middle of an element")
    tag, length, start = data[0], data[1], 2
    if length & LONG_FORM:
        start += length & ~LONG_FORM
        length = int.from_bytes(data[2:start], "big")
    if len(data) < start + length:
        raise ValueError("ends in the middle of an element")
    return tag, data[start : start + length], data[start + length :]


def _time(tag: int, value: bytes) -> datetime:
    text = value.decode("ascii")
    if tag == UTC_TIME:  # two digits of the year: from 1950 to 2049 (RFC 5280, 4.1.2.5.1)
        text = ("19" if text >= "5" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
