"""Visits every message inside a message that a check cares about, through `Any` and `TypedStruct`.

Theory of operation. A resource is a tree, and most of it is of no interest: an address can hold neither a secret nor a
reference. So for each message *type* we work out once which of its fields can lead to something interesting (an `Any`,
a field annotated as sensitive, a type that a check has asked for), by one search over the descriptors; a visit then
looks only at fields that are set *and* on that list. Unknown types inside `Any` end the walk with `UnknownContent`:
what we cannot read we cannot judge, and it must not pass.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, cast

from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from xds.api.descriptors import EnvoyApi, UnknownType, envoy_api
from xds.api.faults import UnknownContent
from xds.api.paths import Path
from xds.api.tables import WANTED

ANY: Final = "google.protobuf.Any"
TYPED_STRUCTS: Final = frozenset({"xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"})
ANNOTATIONS: Final = ("udpa.annotations.sensitive", "xds.annotations.v3.sensitive")
"""The second is the first's successor, which no field has yet."""

DEPTH_MAX: Final = 100
"""Messages inside messages: protobuf's own limit, which an Any inside an Any would otherwise start anew."""


class Shape(enum.Enum):
    """How a field holds its messages."""

    ONE = "one"
    LIST = "list"
    MAP = "map"


class Step(NamedTuple):
    """A field that a walk enters."""

    name: str
    shape: Shape


class Visit(NamedTuple):
    """A message, and where it is."""

    path: Path
    message: Message


class Walker:
    """Walks messages; remembers per type where it has to look."""

    __slots__ = ("_annotations", "_api", "_options", "_sensitive", "_steps", "_wanted")

    def __init__(self, api: EnvoyApi, wanted: frozenset[str]) -> None:
        self._api = api
        self._wanted = wanted | TYPED_STRUCTS | {ANY}
        self._steps: dict[str, dict[int, Step]] = {}
        self._sensitive: dict[str, frozenset[str]] = {}
        self._annotations: list[Any] = [api.pool.FindExtensionByName(name) for name in ANNOTATIONS]
        self._options = api.message("google.protobuf.FieldOptions")

    def walk(self, message: Message) -> Iterator[Visit]:
        """Every interesting message in it, itself first. Raises `UnknownContent`."""
        return self._walk(message, None, self._entered)

    def within(self, message: Message, path: Path) -> Iterator[Visit]:
        """The same, but what is inside an `Any` is left to the caller, who may change the `Any` visited."""
        return self._walk(message, path, self._children)

    def _walk(self, message: Message, path: Path, inside: Callable[[Visit], list[Visit]]) -> Iterator[Visit]:
        stack: list[tuple[int, Visit]] = [(0, Visit(path, message))]
        while stack:
            depth, visit = stack.pop()
            if depth > DEPTH_MAX:
                raise UnknownContent(visit.path, f"is nested more than {DEPTH_MAX} deep")
            yield visit
            stack.extend((depth + 1, child) for child in reversed(inside(visit)))

    def _entered(self, visit: Visit) -> list[Visit]:
        inner = self.opened(visit)
        return self._children(visit) if inner is None else [inner]

    def sensitive_fields(self, descriptor: Descriptor) -> frozenset[str]:
        """Names of its fields that are annotated `(udpa.annotations.sensitive) = true`."""
        found = self._sensitive.get(descriptor.full_name)
        if found is None:
            found = frozenset(field.name for field in descriptor.fields if self._annotated(field))
            self._sensitive[descriptor.full_name] = found
        return found

    def _children(self, visit: Visit) -> list[Visit]:
        steps = self._steps_of(cast("Descriptor", visit.message.DESCRIPTOR))
        children: list[Visit] = []
        if not steps:
            return children
        for field, value in visit.message.ListFields():
            step = steps.get(field.number)
            if step is None:
                continue
            if step.shape is Shape.ONE:
                children.append(Visit((visit.path, step.name), value))
            elif step.shape is Shape.LIST:
                inside = (visit.path, step.name)
                children += [Visit((inside, index), item) for index, item in enumerate(value)]
            else:
                inside = (visit.path, step.name)
                children += [Visit((inside, key), value[key]) for key in sorted(value)]
        return children

    def opened(self, visit: Visit) -> Visit | None:
        """What an `Any` or a `TypedStruct` stands for."""
        message: Any = visit.message
        name = message.DESCRIPTOR.full_name
        if name == ANY:
            return Visit(visit.path, self._unpacked(visit.path, message)) if message.type_url else None
        if name in TYPED_STRUCTS:
            return Visit((visit.path, "value"), self._typed(visit.path, message))
        return None

    def _unpacked(self, path: Path, message: Any) -> Message:
        cls = self._class(path, message.type_url)
        try:
            return cls.FromString(message.value)
        except DecodeError:
            raise UnknownContent(path, f"is no valid {cls.DESCRIPTOR.full_name}") from None

    def _typed(self, path: Path, message: Any) -> Message:
        """Envoy turns the struct into the type that it names, by proto3 JSON; so do we."""
        cls = self._class(path, message.type_url)
        plain = json_format.MessageToDict(message.value, descriptor_pool=self._api.pool)
        try:
            return json_format.ParseDict(plain, cls(), descriptor_pool=self._api.pool)
        except json_format.ParseError:
            # The parser's own message would quote the value, or a field's name, which may be one.
            reason = f"is no valid {cls.DESCRIPTOR.full_name}, or has fields that it lacks in {self._api.version}"
            raise UnknownContent((path, "value"), reason) from None

    def _class(self, path: Path, type_url: str) -> type[Message]:
        try:
            return self._api.message(type_url.rpartition("/")[2])
        except UnknownType as error:
            raise UnknownContent(path, str(error)) from None

    def _annotated(self, field: FieldDescriptor) -> bool:
        if not field.has_options:
            return False
        options = self._options.FromString(field.GetOptions().SerializeToString())
        return any(options.Extensions[annotation] for annotation in self._annotations)

    def _steps_of(self, descriptor: Descriptor) -> dict[int, Step]:
        found = self._steps.get(descriptor.full_name)
        if found is None:
            self._learn(descriptor)
            found = self._steps[descriptor.full_name]
        return found

    def _learn(self, root: Descriptor) -> None:
        """Find, for every type reachable from this one, the fields that lead to something interesting."""
        reached = _reachable(root)
        users: dict[str, set[str]] = {}
        for name, descriptor in reached.items():
            for field in descriptor.fields:
                if (target := _target(field)) is not None:
                    users.setdefault(target.full_name, set()).add(name)
        interesting: set[str] = set()
        queue = [n for n, d in reached.items() if n in self._wanted or self.sensitive_fields(d)]
        while queue:
            name = queue.pop()
            if name not in interesting:
                interesting.add(name)
                queue.extend(users.get(name, ()))
        for name, descriptor in reached.items():
            self._steps[name] = {
                field.number: Step(field.name, _shape(field))
                for field in descriptor.fields
                if (target := _target(field)) is not None and target.full_name in interesting
            }


@functools.cache
def walker() -> Walker:
    """The walker that stops at everything the checks of this room care about."""
    return Walker(envoy_api(), WANTED)


def _reachable(root: Descriptor) -> dict[str, Descriptor]:
    reached: dict[str, Descriptor] = {}
    queue = [root]
    while queue:
        descriptor = queue.pop()
        if descriptor.full_name not in reached:
            reached[descriptor.full_name] = descriptor
            queue.extend(target for field in descriptor.fields if (target := _target(field)) is not None)
    return reached


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def _target(field: FieldDescriptor) -> Descriptor | None:
    """Type of the messages in the field; of the values, where it is a map."""
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        return inner.fields_by_name["value"].message_type
    return inner


def _shape(field: FieldDescriptor) -> Shape:
    if _is_map(field):
        return Shape.MAP
    return Shape.LIST if field.is_repeated else Shape.ONE
