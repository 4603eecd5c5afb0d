"""JSON files: several times faster than YAML; the text is read a second time, as YAML, only to place an error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from xds.api.paths import Step
from xds.api.quoting import quoted
from xds.config.document import Fault, Position, Unreadable
from xds.config.yaml_text import YamlDocument

BLANK: Final = " \t\r\n"
PLACED_CHARS_MAX: Final = 4 * 1024 * 1024
"""In a longer text only the resource is placed: YAML's reader takes about a second for each megabyte."""


class _Repeated(Exception):  # noqa: N818 - a signal, not an error of its own
    """A key stands twice in one object."""


class JsonDocument:
    """A JSON file. Raises `Unreadable` when made from text that is none."""

    __slots__ = ("_as_yaml", "_lines", "_text", "value")

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines: dict[tuple[Step, ...], Position] = {}
        self._as_yaml: YamlDocument | bool = len(text) <= PLACED_CHARS_MAX
        """False: it cannot be read as YAML. True: nobody has asked yet."""
        try:
            self.value = self._read()
        except json.JSONDecodeError as error:
            message = f"is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
            raise Unreadable([Fault(message, Position(error.lineno, error.colno))]) from None
        except RecursionError:
            raise Unreadable([Fault("is nested too deep", Position(0, 0))]) from None
        except _Repeated as error:
            raise Unreadable(_repeated(text, str(error))) from None

    def position(self, path: Sequence[Step], *, key: bool = False) -> Position:
        """Where the value at this path stands, or its key."""
        known = self._lines.get(tuple(path))
        if known is not None and not key:
            return known
        if self._as_yaml is True:
            try:
                self._as_yaml = YamlDocument(self._text)
            except Unreadable:  # JSON that YAML cannot read, such as a surrogate pair: the resource's line must do
                self._as_yaml = False
        if isinstance(self._as_yaml, YamlDocument):
            return self._as_yaml.position(path, key=key)
        return self._lines.get(tuple(path[:2]), Position(0, 0))

    def _read(self) -> Any:
        """The whole text; the items of the top level's lists with their positions."""
        reader = _Reader(self._text)
        at = reader.blank(0)
        if self._text[at : at + 1] != "{":
            value, at = reader.value(at)
            reader.end(at)
            return value
        pairs: list[tuple[str, Any]] = []
        at = reader.blank(at + 1)
        while self._text[at : at + 1] != "}":
            key, value, at = self._member(reader, at)
            pairs.append((key, value))
            at = reader.separator(at, "}")
        reader.end(at + 1)
        return _object(pairs)

    def _member(self, reader: _Reader, at: int) -> tuple[str, Any, int]:
        key, at = reader.key(at)
        if self._text[at : at + 1] != "[":
            value, at = reader.value(at)
            return key, value, at
        items: list[Any] = []
        at = reader.blank(at + 1)
        while self._text[at : at + 1] != "]":
            self._lines[key, len(items)] = reader.position(at)
            item, at = reader.value(at)
            items.append(item)
            at = reader.separator(at, "]")
        return key, items, at + 1


def _repeated(text: str, key: str) -> Sequence[Fault]:
    """Where the key stands twice: YAML's reader knows, if it can read this text."""
    try:
        YamlDocument(text if len(text) <= PLACED_CHARS_MAX else "{}")
    except Unreadable as error:
        if all("twice" in fault.message for fault in error.faults):
            return error.faults
    return [Fault(f"the key {key} stands twice in an object", Position(0, 0))]


class _Reader:
    """The pieces of JSON's grammar around the values, which the standard library reads."""

    __slots__ = ("_counted", "_decoder", "_line", "_line_start", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
        self._counted = 0
        self._line = 1
        self._line_start = 0

    def blank(self, at: int) -> int:
        while self._text[at : at + 1] and self._text[at] in BLANK:
            at += 1
        return at

    def value(self, at: int) -> tuple[Any, int]:
        try:
            return self._decoder.raw_decode(self._text, at)
        except _Constant as error:
            raise json.JSONDecodeError(f"{error} is not JSON", self._text, at) from None

    def key(self, at: int) -> tuple[str, int]:
        if self._text[at : at + 1] != '"':
            raise json.JSONDecodeError("expecting a key in double quotes", self._text, at)
        key, at = self._decoder.raw_decode(self._text, at)
        at = self.blank(at)
        if self._text[at : at + 1] != ":":
            raise json.JSONDecodeError("expecting ':'", self._text, at)
        return key, self.blank(at + 1)

    def separator(self, at: int, closing: str) -> int:
        """Step over a comma; stay at the closing bracket."""
        at = self.blank(at)
        if self._text[at : at + 1] == closing:
            return at
        if self._text[at : at + 1] != ",":
            raise json.JSONDecodeError(f"expecting ',' or '{closing}'", self._text, at)
        after = self.blank(at + 1)
        if self._text[after : after + 1] == closing:
            raise json.JSONDecodeError(f"expecting a value between ',' and '{closing}'", self._text, after)
        return after

    def end(self, at: int) -> None:
        at = self.blank(at)
        if at != len(self._text):
            raise json.JSONDecodeError("expecting the end of the file", self._text, at)

    def position(self, at: int) -> Position:
        """Of increasing offsets: what lies between them is looked at once, also where all of it is one line."""
        newlines = self._text.count("\n", self._counted, at)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rindex("\n", self._counted, at) + 1
        self._counted = at
        return Position(self._line, at - self._line_start + 1)


class _Constant(Exception):  # noqa: N818 - a signal
    """NaN or Infinity, which Python reads and JSON does not have."""


def _no_constant(name: str) -> Any:
    raise _Constant(name)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _Repeated(quoted(key))
            seen.add(key)
    return values
