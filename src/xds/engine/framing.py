"""Length-delimited protobuf fields, written by hand: a push concatenates ready frames and builds no message."""

from __future__ import annotations

from typing import Final

_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80
_LENGTH_DELIMITED: Final = 2


def varint(value: int) -> bytes:
    """A base-128 varint of a non-negative number."""
    out = bytearray()
    while value > _SEVEN_BITS:
        out.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, payload: bytes) -> bytes:
    """One length-delimited field: a string, bytes, or an embedded message."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(len(payload)) + payload


def text_field(number: int, text: str) -> bytes:
    """A string field; nothing at all for the empty string, as proto3 has it."""
    return field(number, text.encode()) if text else b""


def any_message(type_url: str, body: bytes) -> bytes:
    """A `google.protobuf.Any`."""
    return text_field(1, type_url) + (field(2, body) if body else b"")


def sotw_frame(type_url: str, body: bytes) -> bytes:
    """`DiscoveryResponse.resources`: the Any itself, never wrapped in a Resource."""
    return field(2, any_message(type_url, body))


def delta_frame(type_url: str, name: str, version: str, body: bytes) -> bytes:
    """`DeltaDiscoveryResponse.resources`: a Resource with name, version and the Any."""
    resource = text_field(1, version) + field(2, any_message(type_url, body)) + text_field(3, name)
    return field(2, resource)


def control_plane(number: int, identifier: str) -> bytes:
    """The `control_plane` field of a response; nothing without an identifier."""
    return field(number, text_field(1, identifier)) if identifier else b""
