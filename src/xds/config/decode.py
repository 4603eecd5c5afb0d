"""Proto3 JSON to protobuf, collecting every error with its path.

protobuf's own `json_format` stops at the first error, places it in a sentence only, and quotes values, which may be
secrets. This reader names the path and what the field expects, and nothing of what stood there. It is driven by tables,
made once per message type, and the `Any` values inside are serialised deterministically, innermost first, so that the
result is the canonical form. Tests hold it against `json_format` for the whole API.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from xds.api.descriptors import EnvoyApi, UnknownType, envoy_api
from xds.api.paths import Path, Step, path_steps, steps_text
from xds.api.quoting import quoted
from xds.config.document import DEPTH_MAX
from xds.config.scalars import Wrong, null, number, scalar_reader, text
from xds.names import PREFIX

_WRAPPERS: Final = frozenset(
    f"google.protobuf.{kind}Value"
    for kind in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_TEXTS: Final = {
    "google.protobuf.Duration": "a duration in seconds, such as 5s or 0.25s",
    "google.protobuf.Timestamp": "a time such as 2026-01-31T12:00:00Z",
    "google.protobuf.FieldMask": "the names of fields, separated by commas",
}


class Complaint(NamedTuple):
    """What is wrong at a path."""

    path: tuple[Step, ...]
    reason: str
    at_key: bool = False
    """The key is what is wrong, not its value."""

    @property
    def field(self) -> str:
        """The path as people write it."""
        return steps_text(self.path)


class Field(NamedTuple):
    """How to read the value of one field."""

    name: str
    oneof: str
    repeated: bool
    mapped: bool
    convert: Callable[[Any], Any] | None
    """For scalars."""
    key: Callable[[Any], Any]
    """For the keys of maps; unused elsewhere."""
    target: Descriptor | None
    """For messages."""


class Decoder:
    """Reads plain values into messages; remembers per type how."""

    __slots__ = ("_tables", "api")

    def __init__(self, api: EnvoyApi) -> None:
        self.api = api
        self._tables: dict[str, dict[str, Field]] = {}

    def decode(self, value: Any, message: Message) -> list[Complaint]:
        """Fill the message; it is only of use if there are no complaints."""
        reading = _Reading(self)
        reading.read(value, message)
        return reading.complaints

    def table(self, descriptor: Descriptor) -> dict[str, Field]:
        """How to read each field, by both of its names."""
        found = self._tables.get(descriptor.full_name)
        if found is None:
            found = self._tables[descriptor.full_name] = _table(descriptor)
        return found


class _Reading:
    """One value on its way into a message."""

    __slots__ = ("_decoder", "complaints")

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self.complaints: list[Complaint] = []

    def read(self, value: Any, message: Message) -> None:
        """Fill the message."""
        self._message(value, message, None, 0)

    def complain(self, path: Path, reason: str, *, at_key: bool = False) -> None:
        """Note what is wrong."""
        self.complaints.append(Complaint(path_steps(path), reason, at_key))

    def _message(self, value: Any, message: Any, path: Path, depth: int) -> None:
        if depth > DEPTH_MAX:
            self.complain(path, f"is nested more than {DEPTH_MAX} deep")
            return
        name = message.DESCRIPTOR.full_name
        special = _SPECIAL.get(name)
        if special is not None:
            special(self, value, message, path, depth)
            return
        if not isinstance(value, dict):
            self.complain(path, f"expects a mapping ({name.rpartition('.')[2]})")
            return
        table = self._decoder.table(message.DESCRIPTOR)
        taken: dict[str, str] = {}
        for key, item in value.items():
            field = table.get(key)
            if field is None:
                self.complain((path, key), _unknown_field(key, message.DESCRIPTOR), at_key=True)
            elif item is not None or _null_counts(field):
                clash = taken.setdefault(field.oneof, key) if field.oneof else taken.setdefault(field.name, key)
                if clash is not key:
                    self.complain((path, key), f"cannot stand beside {clash}: only one of them may be set", at_key=True)
                else:
                    self._field(item, message, field, (path, key), depth)

    def _field(self, value: Any, message: Any, field: Field, path: Path, depth: int) -> None:
        if field.mapped:
            self._map(value, getattr(message, field.name), field, path, depth)
        elif field.repeated:
            self._list(value, getattr(message, field.name), field, path, depth)
        elif field.convert is not None:
            try:
                setattr(message, field.name, field.convert(value))
            except Wrong as error:
                self.complain(path, str(error))
        else:
            inner = getattr(message, field.name)
            inner.SetInParent()
            self._message(value, inner, path, depth + 1)

    def _list(self, value: Any, into: Any, field: Field, path: Path, depth: int) -> None:
        if not isinstance(value, list):
            self.complain(path, "expects a list")
            return
        for index, item in enumerate(value):
            if field.convert is None:
                self._message(item, into.add(), (path, index), depth + 1)
                continue
            try:
                into.append(field.convert(item))
            except Wrong as error:
                self.complain((path, index), str(error))

    def _map(self, value: Any, into: Any, field: Field, path: Path, depth: int) -> None:
        if not isinstance(value, dict):
            self.complain(path, "expects a mapping")
            return
        for name, item in value.items():
            try:
                key = field.key(name)
            except Wrong as error:
                self.complain((path, name), f"as a key {error}", at_key=True)
                continue
            if field.convert is None:
                self._message(item, into[key], (path, name), depth + 1)
                continue
            try:
                into[key] = field.convert(item)
            except Wrong as error:
                self.complain((path, name), str(error))

    def _any(self, value: Any, message: Any, path: Path, depth: int) -> None:
        if not isinstance(value, dict):
            self.complain(path, 'expects a mapping with "@type"')
            return
        if not value:
            return
        type_url = value.get("@type")
        if not isinstance(type_url, str):
            reason = 'lacks "@type"' if type_url is None else 'has an "@type" that is not text'
            self.complain(path, reason)
            return
        if not type_url.startswith(PREFIX):
            self.complain((path, "@type"), f"expects {PREFIX} and the name of a type")
            return
        try:
            inner = self._decoder.api.message_for(type_url)()
        except UnknownType as error:
            self.complain((path, "@type"), str(error))
            return
        rest: Any = {key: item for key, item in value.items() if key != "@type"}
        within = path
        if inner.DESCRIPTOR.full_name in _SPECIAL:
            if set(rest) - {"value"}:
                self.complain(path, 'expects only "@type" and "value" for this type')
                return
            rest, within = rest.get("value"), (path, "value")
        self._message(rest, inner, within, depth + 1)
        message.type_url = type_url
        message.value = inner.SerializeToString(deterministic=True)

    def _wrapper(self, value: Any, message: Any, path: Path, depth: int) -> None:  # noqa: ARG002
        convert = scalar_reader(message.DESCRIPTOR.fields_by_name["value"])
        try:
            message.value = convert(value)
        except Wrong as error:
            self.complain(path, str(error))

    def _text(self, value: Any, message: Any, path: Path, depth: int) -> None:  # noqa: ARG002
        try:
            message.FromJsonString(value)
        except (ValueError, TypeError, AttributeError):
            self.complain(path, f"expects {_TEXTS[message.DESCRIPTOR.full_name]}")

    def _struct(self, value: Any, message: Any, path: Path, depth: int) -> None:
        if not isinstance(value, dict):
            self.complain(path, "expects a mapping")
            return
        message.SetInParent()
        for key, item in value.items():
            try:
                self._message(item, message.fields[text(key)], (path, key), depth + 1)
            except Wrong as error:
                self.complain((path, key), f"as a key {error}", at_key=True)

    def _list_value(self, value: Any, message: Any, path: Path, depth: int) -> None:
        if not isinstance(value, list):
            self.complain(path, "expects a list")
            return
        message.SetInParent()
        for index, item in enumerate(value):
            self._message(item, message.values.add(), (path, index), depth + 1)

    def _value(self, value: Any, message: Any, path: Path, depth: int) -> None:
        kind = type(value)
        try:
            if value is None:
                message.null_value = 0
            elif kind is bool:
                message.bool_value = value
            elif kind is int or kind is float:
                message.number_value = number(value)
            elif kind is str:
                message.string_value = text(value)
            elif isinstance(value, dict):
                self._struct(value, message.struct_value, path, depth)
            else:
                self._list_value(value, message.list_value, path, depth)
        except Wrong as error:
            self.complain(path, str(error))


_SPECIAL: Final[dict[str, Callable[[_Reading, Any, Any, Path, int], None]]] = {
    "google.protobuf.Any": _Reading._any,  # noqa: SLF001 - this module's own dispatch
    "google.protobuf.Struct": _Reading._struct,  # noqa: SLF001
    "google.protobuf.Value": _Reading._value,  # noqa: SLF001
    "google.protobuf.ListValue": _Reading._list_value,  # noqa: SLF001
    **dict.fromkeys(_WRAPPERS, _Reading._wrapper),  # noqa: SLF001
    **dict.fromkeys(_TEXTS, _Reading._text),  # noqa: SLF001
}
"""Types with a JSON form of their own."""


@functools.cache
def decoder() -> Decoder:
    """The decoder of the API that we carry."""
    return Decoder(envoy_api())


def _table(descriptor: Descriptor) -> dict[str, Field]:
    table: dict[str, Field] = {}
    for descriptor_field in descriptor.fields:
        field = _field_of(descriptor_field)
        table[descriptor_field.name] = field
        table[descriptor_field.json_name] = field
    return table


def _field_of(field: FieldDescriptor) -> Field:
    oneof = field.containing_oneof
    oneof_name = oneof.name if oneof is not None and len(oneof.fields) > 1 else ""
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        key, value = inner.fields_by_name["key"], inner.fields_by_name["value"]
        convert = None if value.message_type is not None else scalar_reader(value)
        return Field(field.name, "", False, True, convert, scalar_reader(key), value.message_type)
    convert = None if inner is not None else scalar_reader(field)
    return Field(field.name, oneof_name, field.is_repeated, False, convert, text, inner)


def _null_counts(field: Field) -> bool:
    """Null means "not set" everywhere but in a `Value` and in protobuf's own `NullValue`."""
    if field.target is None:
        return field.convert is null
    return field.target.full_name == "google.protobuf.Value" and not field.repeated


def _unknown_field(key: str, descriptor: Descriptor) -> str:
    names = [field.name for field in descriptor.fields]
    near = difflib.get_close_matches(key, names, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{descriptor.full_name} has no field {quoted(key)}{hint} (this build carries {envoy_api().version})"
