"""Messages of Envoy's API made from its descriptors, so that tests cover a new API by themselves."""

from __future__ import annotations

import random
from collections.abc import Iterator
from importlib import resources
from typing import Any

from google.protobuf import descriptor_pb2, json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from xds.api.descriptors import envoy_api

PREFIX = "type.googleapis.com/"


def all_messages(*, well_known: bool = False) -> list[Descriptor]:
    """Every message type of the API, but map entries and protobuf's own."""
    data = resources.files("xds").joinpath("_gen", "envoy.binpb").read_bytes()
    found = []
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        if file.package == "google.protobuf" and not well_known:
            continue
        for message in file.message_type:
            found += [envoy_api().message(name).DESCRIPTOR for name in _names(message, file.package)]
    return found


def _names(message: descriptor_pb2.DescriptorProto, prefix: str) -> Iterator[str]:
    if message.options.map_entry:
        return
    name = f"{prefix}.{message.name}" if prefix else message.name
    yield name
    for inner in message.nested_type:
        yield from _names(inner, name)


def new(full_name: str, /, **fields: Any) -> Any:
    """A message, from keyword arguments and nested dicts."""
    return envoy_api().message(full_name)(**fields)


def parsed(full_name: str, plain: Any) -> Any:
    """A message, from its JSON."""
    return json_format.ParseDict(plain, new(full_name), descriptor_pool=envoy_api().pool)


def pack(message: Any) -> Any:
    """The message in an `Any`."""
    value = message.SerializeToString(deterministic=True)
    return new("google.protobuf.Any", type_url=PREFIX + message.DESCRIPTOR.full_name, value=value)


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def set_field(message: Any, field: FieldDescriptor, text: str) -> None:
    """Set one field to something that holds the text, if its type allows it."""
    if is_map(field):
        value = field.message_type.fields_by_name["value"]
        if value.message_type is None:
            getattr(message, field.name)["some key"] = text
        else:
            fill_text(getattr(message, field.name)["some key"], text)
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        if field.is_repeated:
            inner = inner.add()
        inner.SetInParent()
        fill_text(inner, text)
    elif field.is_repeated:
        getattr(message, field.name).append(text)
    else:
        setattr(message, field.name, text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text)


def fill_text(message: Any, text: str) -> None:
    """Put the text into the first field of a message that can hold it."""
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.Any":
        message.CopyFrom(pack(new("google.protobuf.StringValue", value=text)))
    elif name == "google.protobuf.Struct":
        message.fields["some key"].string_value = text
    elif name.endswith(".DataSource"):
        message.inline_string = text
    else:
        for field in message.DESCRIPTOR.fields:
            if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
                setattr(message, field.name, text)
                return


class Filler:
    """Fills messages at random, reproducibly."""

    def __init__(self, seed: int, *, chance: float = 0.5) -> None:
        self._random = random.Random(seed)
        self._chance = chance

    def fill(self, message: Any, depth: int = 3) -> None:
        """Set some of the fields, down to a depth."""
        special = _SPECIAL.get(message.DESCRIPTOR.full_name)
        if special is not None:
            special(self._random, message)
            return
        taken = set()
        for field in self._random.sample(list(message.DESCRIPTOR.fields), len(message.DESCRIPTOR.fields)):
            oneof = field.containing_oneof
            if self._random.random() > self._chance or (oneof is not None and oneof.name in taken):
                continue
            if oneof is not None:
                taken.add(oneof.name)
            self._field(message, field, depth)

    def _field(self, message: Any, field: FieldDescriptor, depth: int) -> None:
        if is_map(field):
            self._map(getattr(message, field.name), field, depth)
        elif field.message_type is not None:
            if depth > 0:
                inner = getattr(message, field.name)
                for one in [inner.add(), inner.add()] if field.is_repeated else [inner]:
                    one.SetInParent()
                    self.fill(one, depth - 1)
        elif field.is_repeated:
            getattr(message, field.name).extend([self._scalar(field), self._scalar(field)])
        else:
            setattr(message, field.name, self._scalar(field))

    def _map(self, values: Any, field: FieldDescriptor, depth: int) -> None:
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        for _ in range(3):
            if value.message_type is None:
                values[self._scalar(key)] = self._scalar(value)
            elif depth > 0:
                self.fill(values[self._scalar(key)], depth - 1)

    def _scalar(self, field: FieldDescriptor) -> Any:
        draw = self._random
        kind = field.cpp_type
        if kind == FieldDescriptor.CPPTYPE_BOOL:
            return draw.random() < 0.5
        if kind == FieldDescriptor.CPPTYPE_ENUM:
            return draw.choice(list(field.enum_type.values)).number
        if kind in {FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT}:
            return draw.choice([0.5, 1.0, -2.25, 1e10, 0.0])
        if field.type == FieldDescriptor.TYPE_BYTES:
            return draw.randbytes(5)
        if kind == FieldDescriptor.CPPTYPE_STRING:
            return draw.choice(["text", "5", "true", "n", "1.5", "", "Grüße ☃", "a: b # c", "2001-01-01", "~", "-"])
        bits = 31 if kind in {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32} else 62
        return draw.choice([0, 1, 17, 2**bits - 1])


def _any(draw: random.Random, message: Any) -> None:
    inner = draw.choice(
        [
            new("google.protobuf.StringValue", value="x"),
            new("google.protobuf.Duration", seconds=3),
            new("envoy.config.core.v3.Metadata", filter_metadata={"b": {}, "a": {}, "c": {}}),
        ],
    )
    message.CopyFrom(pack(inner))


def _struct(draw: random.Random, message: Any) -> None:
    message.fields["text"].string_value = draw.choice(["x", "5", "no"])
    message.fields["none"].null_value = 0
    message.fields["number"].number_value = draw.choice([0, 5, -1])
    message.fields["inside"].struct_value.fields["flag"].bool_value = True
    message.fields["list"].list_value.values.add().string_value = "one"


_SPECIAL: dict[str, Any] = {
    "google.protobuf.Any": _any,
    "google.protobuf.Struct": _struct,
    "google.protobuf.Value": lambda draw, message: setattr(message, "number_value", draw.choice([1, 2])),
    "google.protobuf.ListValue": lambda _, message: message.values.add().struct_value.SetInParent(),
    "google.protobuf.Duration": lambda draw, message: setattr(message, draw.choice(["seconds", "nanos"]), 250_000_000),
    "google.protobuf.Timestamp": lambda _, message: setattr(message, "seconds", 1_700_000_000),
    "google.protobuf.FieldMask": lambda _, message: message.paths.extend(["some_field", "other.inner_field"]),
}
