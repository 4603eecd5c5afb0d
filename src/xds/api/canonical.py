"""The one form of a message that is stored, hashed and sent: deterministic through every `Any`, nothing unknown in it.

For messages that came as bytes. (What `config.decode` makes is canonical already.)
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError, Message

from xds.api.descriptors import UnknownType, envoy_api
from xds.api.faults import UnknownContent
from xds.api.paths import Path
from xds.api.walk import ANY, DEPTH_MAX, Visit, walker


def canonical(full_name: str, body: bytes) -> Message:
    """The message of that type, ready for deterministic serialisation. Raises `UnknownContent` and `UnknownType`."""
    return _canonical(envoy_api().message(full_name), body, None, 0)


def _canonical(cls: type[Message], body: bytes, path: Path, depth: int) -> Message:
    if depth > DEPTH_MAX:
        raise UnknownContent(path, f"is nested more than {DEPTH_MAX} deep")
    try:
        message = cls.FromString(body)
    except DecodeError:
        raise UnknownContent(path, f"is no valid {cls.DESCRIPTOR.full_name}") from None
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise UnknownContent(
            path,
            f"has fields that {cls.DESCRIPTOR.full_name} lacks in the API of this build ({envoy_api().version})",
        )
    for visit in walker().within(message, path):
        if visit.message.DESCRIPTOR.full_name == ANY:
            _settle(visit, depth)
    return message


def _settle(visit: Visit, depth: int) -> None:
    message: Any = visit.message
    if not message.type_url:
        return
    try:
        cls = envoy_api().message(message.type_url.rpartition("/")[2])
    except UnknownType as error:
        raise UnknownContent(visit.path, str(error)) from None
    inner = _canonical(cls, message.value, visit.path, depth + 1)
    message.value = inner.SerializeToString(deterministic=True)
