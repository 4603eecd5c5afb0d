"""No secret may stand in a resource, only the name of one: it would be in every stream, log and dump.

What is refused, wherever it stands, through `Any`, `TypedExtensionConfig` and `TypedStruct`:

* a set field that Envoy's API annotates `(udpa.annotations.sensitive) = true`, whatever is in it, a file name as well;
* the messages below, which exist only to hold keys or to write them out;
* the fields below, which hold a credential and lack the annotation in the API that we carry;
* what looks like a private key in any field at all: PEM, OpenSSH, PGP, PuTTY, JWK, and DER, also in base64;
* in a mapping without a type (`Struct`), a key such as password with a text or a data source below it;
* a data source that names a file such as key.pem.

The first three are Envoy's own word. The last three are a net: they find a slip, and prove nothing (`keytext`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from google.protobuf.message import Message

from xds.api.faults import SensitiveField
from xds.api.keytext import SOURCES, STRUCT_KEYS, is_key_file, key_in, squeezed, suspicious
from xds.api.paths import Path
from xds.api.tables import DATA_SOURCES, REFUSED_FIELDS, REFUSED_MESSAGES
from xds.api.walk import ANY, Visit, walker

STRUCT: Final = "google.protobuf.Struct"
FORMATS: Final = frozenset({"envoy.config.core.v3.SubstitutionFormatString.json_format"})
"""Mappings whose keys are those of a log line."""

HOLDS: Final = "holds "
ADVICE: Final = "secrets are served over SDS: name one there (`legation snippet secret NAME`)"


def refuse_sensitive(message: Message) -> None:
    """Raise `SensitiveField` if the resource holds a secret, `UnknownContent` if nobody can say whether it does."""
    for visit in walker().walk(message):
        look(visit)
    refuse_keys(message, message.SerializeToString())


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


def refuse_keys(message: Message, body: bytes) -> None:
    """Raise `SensitiveField` if a private key, or what is called one, is anywhere in the serialised resource."""
    if suspicious(body):
        for path, reason in _findings(message, None):
            raise SensitiveField(path, f"{reason}; {ADVICE}")


def _refused(descriptor: Any) -> frozenset[str]:
    annotated = walker().sensitive_fields(descriptor)
    listed = REFUSED_FIELDS.get(descriptor.full_name)
    return annotated | listed if listed else annotated


def _findings(message: Message, path: Path) -> Iterator[tuple[Path, str]]:
    """Where keys are, innermost first, and why we think so; slow, and only run when there is a reason to."""
    full_name = message.DESCRIPTOR.full_name
    if full_name == ANY and (inner := walker().opened(Visit(path, message))) is not None:
        message = inner.message
        full_name = message.DESCRIPTOR.full_name
    if full_name == STRUCT:
        yield from _struct(message, path)
    elif full_name in DATA_SOURCES:
        yield from _file(getattr(message, "filename"), (path, "filename"))  # noqa: B009 - its class is made at run time
    for field, value in message.ListFields():
        for inside, item in _items((path, field.name), value):
            if isinstance(item, Message):
                found = _findings(item, inside)
                yield from _texts(found) if field.full_name in FORMATS else found
            elif isinstance(item, str | bytes) and (kind := key_in(item.encode() if isinstance(item, str) else item)):
                yield inside, HOLDS + kind


def _texts(findings: Iterator[tuple[Path, str]]) -> Iterator[tuple[Path, str]]:
    """Of these, the keys themselves, and not what is called one."""
    return ((path, reason) for path, reason in findings if reason.startswith(HOLDS))


def _struct(struct: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """A mapping without a type: its keys are all that tells what it holds."""
    texts = {key: value.string_value for key, value in struct.fields.items()}
    for key in sorted(texts):
        name, where = squeezed(key), ((path, "fields"), key)
        if name in STRUCT_KEYS and (texts[key] or _sourced(struct.fields[key])):
            yield where, "is called what secrets are called, in a mapping that has no type to tell"
        elif name == "filename":
            yield from _file(texts[key], where)
    if texts.get("kty") and texts.get("d"):
        yield ((path, "fields"), "d"), HOLDS + "a private key as JWK"


def _sourced(value: Any) -> bool:
    """Whether a value says, as a DataSource does, where a secret is, at any depth."""
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        return any(item.string_value or _sourced(item) for item in value.list_value.values)
    if kind != "struct_value":
        return False
    fields = value.struct_value.fields
    return any(squeezed(key) in SOURCES or _sourced(fields[key]) for key in fields)


def _file(name: str, path: Path) -> Iterator[tuple[Path, str]]:
    if is_key_file(name):
        yield path, "names a file that is a private key by its name, and Envoy would read it; if it is none, rename it"


def _items(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Message | str | bytes | int | float):
        yield path, value
    elif hasattr(value, "items"):
        for key in sorted(value):
            yield (path, "key of a map"), key
            yield (path, key), value[key]
    else:
        yield from (((path, index), item) for index, item in enumerate(value))
