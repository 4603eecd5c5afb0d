"""No secret may stand in a resource, only the name of one (design 6): it would be in every stream, log and dump.

What is refused, wherever it stands, through `Any`, `TypedExtensionConfig` and `TypedStruct`:

* a set field that Envoy's API annotates `(udpa.annotations.sensitive) = true`, whatever is in it, a file name as well;
* the messages below, which exist only to hold keys or to write them out;
* the fields below, which hold a credential and lack the annotation in the API that we carry;
* the text of a PEM key in any field at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import Message

from xds.api.faults import SensitiveField
from xds.api.paths import Path
from xds.api.tables import REFUSED_FIELDS, REFUSED_MESSAGES
from xds.api.walk import ANY, Visit, walker

PEM_KEY: Final = b"PRIVATE" + b" KEY-----"
"""In two pieces, so that scanners for keys find none in this file."""

ADVICE: Final = "secrets are served over SDS: name one there (`legation snippet secret NAME`)"


def refuse_sensitive(message: Message) -> None:
    """Raise `SensitiveField` if the resource holds a secret, `UnknownContent` if nobody can say whether it does."""
    for visit in walker().walk(message):
        look(visit)
    refuse_pem(message, message.SerializeToString())


def look(visit: Visit) -> None:
    """Check one message of a walk, without those inside it."""
    descriptor = visit.message.DESCRIPTOR
    reason = REFUSED_MESSAGES.get(descriptor.full_name)
    if reason is not None:
        raise SensitiveField(visit.path, f"{reason}; {ADVICE}")
    names = _refused(descriptor)
    if not names:
        return
    for field, _ in visit.message.ListFields():
        if field.name in names:
            raise SensitiveField((visit.path, field.name), f"holds a secret, or says where one is; {ADVICE}")


def refuse_pem(message: Message, body: bytes) -> None:
    """Raise `SensitiveField` if the text of a PEM key is anywhere in the serialised resource."""
    if PEM_KEY in body:
        path = next(_holders(message, None), None)
        raise SensitiveField(path, f"holds the text of a PEM key; {ADVICE}")


def _refused(descriptor: Any) -> frozenset[str]:
    annotated = walker().sensitive_fields(descriptor)
    listed = REFUSED_FIELDS.get(descriptor.full_name)
    return annotated | listed if listed else annotated


def _holders(message: Message, path: Path) -> Iterator[Path]:
    """Paths of the fields with a PEM key, innermost first; slow, and only run when there is one."""
    if message.DESCRIPTOR.full_name == ANY and (inner := walker().opened(Visit(path, message))) is not None:
        message = inner.message
    for field, value in message.ListFields():
        for inside, item in _items((path, field.name), value):
            if isinstance(item, Message):
                yield from _holders(item, inside)
            elif PEM_KEY in (item.encode() if isinstance(item, str) else item if isinstance(item, bytes) else b""):
                yield inside


def _items(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Message | str | bytes | int | float):
        yield path, value
    elif hasattr(value, "items"):
        for key in sorted(value):
            yield (path, "key of a map"), key
            yield (path, key), value[key]
    else:
        yield from (((path, index), item) for index, item in enumerate(value))
