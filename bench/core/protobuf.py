"""The protobuf wire format, as much of it as a benchmark needs: no schema, no dependency, nothing of the product."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, LENGTH = 0, 2
_SKIP = {1: 8, 5: 4}


def varint(value: int) -> bytes:
    """A non-negative integer."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: bytes | str | int) -> bytes:
    """One field: an integer as a varint, text and bytes length-delimited."""
    if isinstance(value, int):
        return varint(number << 3 | VARINT) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | LENGTH) + varint(len(raw)) + raw


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """(number, value) of each field of a message. Raises ValueError where the bytes are no message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == LENGTH:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("field reaches beyond the end of its message")
            yield tag >> 3, data[at : at + size]
            at += size
        elif kind == VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
        elif kind in _SKIP:
            at += _SKIP[kind]
        else:
            raise ValueError(f"wire type {kind}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("varint without an end")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
