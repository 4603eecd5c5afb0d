"""YAML, read as Envoy reads it.

Envoy turns YAML into JSON by rules of its own, and files that it accepts are to mean the same here: plain `yes`, `on`
and `n` are booleans, whole numbers of 32 bits are numbers, and everything else that is plain, also a decimal fraction,
is text, which proto3 JSON then turns into what the field needs. There are no dates, sexagesimal numbers or merge keys.
A key tagged `!ignore` is left out with its value: that is where files keep their anchors.

We stop PyYAML at its nodes, because they know their line and column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import yaml
from yaml import CSafeLoader
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from xds.api.paths import Step
from xds.api.quoting import quoted
from xds.config.document import DEPTH_MAX, NODES_MAX, Fault, Position, Unreadable

PLAIN: Final = "plain"
QUOTED: Final = "quoted"
STR: Final = "tag:yaml.org,2002:str"
"""Means nothing to Envoy: `!!str 5` is a number."""
TAGS: Final = frozenset({PLAIN, QUOTED, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
IGNORE: Final = "!ignore"

_WORDS: Final[dict[str, bool | None]] = {
    spelling: value
    for word, value in {
        "y": True,
        "n": False,
        "yes": True,
        "no": False,
        "true": True,
        "false": False,
        "on": True,
        "off": False,
        "null": None,
    }.items()
    for spelling in (word, word.upper(), word.capitalize())
} | {"": None, "~": None}
_INTEGER: Final = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)", re.ASCII)
_INT32_MIN: Final = -(2**31)
_INT32_MAX: Final = 2**31 - 1
_DIGITS_MAX: Final = 20


class _Loader(CSafeLoader):
    """libyaml's parser, with a resolver that only says whether a scalar was quoted."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> str:  # noqa: ARG002 - PyYAML's signature
        """Tag of a node that has none."""
        return PLAIN if kind is not ScalarNode or implicit[0] else QUOTED


class YamlDocument:
    """A YAML file. Raises `Unreadable` when made from text that is none."""

    __slots__ = ("_root", "value")

    def __init__(self, text: str) -> None:
        self._root = _compose(text)
        plainer = _Plainer()
        self.value = plainer.plain(self._root, 0)
        if plainer.faults:
            raise Unreadable(plainer.faults)

    def position(self, path: Sequence[Step], *, key: bool = False) -> Position:
        """Where the value at this path stands, or its key."""
        node, above = self._root, self._root
        for step in path:
            above = node
            found = _child(node, step)
            if found is None:
                return _position(node)
            key_node, node = found
            above = key_node
        return _position(above if key else node)


def _compose(text: str) -> Node:
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        # `problem` holds none of the text, which may be a secret; at most the name of an anchor.
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(0, 0)
        context = f" {error.context}" if error.context else ""
        raise Unreadable([Fault(f"is not YAML:{context} {error.problem}", position)]) from None
    except yaml.YAMLError as error:  # the reader's: a character that YAML does not allow
        line = text.count("\n", 0, getattr(error, "position", 0)) + 1
        raise Unreadable([Fault(f"is not YAML: {getattr(error, 'reason', 'unreadable')}", Position(line, 0))]) from None
    if root is None:
        raise Unreadable([Fault("is empty; a file without resources says `resources: []`", Position(0, 0))])
    return root


class _Plainer:
    """Turns nodes into plain values and collects what is wrong on the way."""

    __slots__ = ("_count", "faults")

    def __init__(self) -> None:
        self._count = 0
        self.faults: list[Fault] = []

    def plain(self, node: Node, depth: int) -> Any:
        """Value of a node, aliases expanded."""
        if isinstance(node, ScalarNode):
            if node.tag == QUOTED:
                return node.value
            return self._tagged(node) if node.tag not in {PLAIN, STR} else _scalar(node.value)
        self._bound(node, depth)
        if node.tag not in TAGS:
            self._fault(node, f"has the tag {quoted(node.tag)}, which resources do not have")
        if isinstance(node, SequenceNode):
            return [self.plain(item, depth + 1) for item in node.value]
        return self._mapping(node, depth)

    def _mapping(self, node: Node, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[str, Node] = {}
        for key_node, value_node in node.value:
            if key_node.tag == IGNORE:
                continue
            if not isinstance(key_node, ScalarNode):
                self._fault(key_node, "has a key that is not text")
                continue
            key = key_node.value
            if key in first:
                line = _position(first[key]).line
                self._fault(key_node, f"the key {quoted(key)} stands here twice; the first is in line {line}")
                continue
            first[key] = key_node
            values[key] = self.plain(value_node, depth + 1)
        return values

    def _tagged(self, node: ScalarNode) -> Any:
        if node.tag not in TAGS:
            self._fault(node, f"has the tag {quoted(node.tag)}, which resources do not have")
        return node.value

    def _bound(self, node: Node, depth: int) -> None:
        self._count += 1 + len(node.value)
        if depth > DEPTH_MAX:
            raise Unreadable([Fault(f"is nested more than {DEPTH_MAX} deep, or contains itself", _position(node))])
        if self._count > NODES_MAX:
            raise Unreadable([Fault(f"has more than {NODES_MAX} values once aliases are expanded", _position(node))])

    def _fault(self, node: Node, message: str) -> None:
        self.faults.append(Fault(message, _position(node)))


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "+-0123456789" and len(text) <= _DIGITS_MAX and _INTEGER.fullmatch(text):
        number = _integer(text)
        return number if number is not None and _INT32_MIN <= number <= _INT32_MAX else text
    return text


def _integer(text: str) -> int | None:
    """Hexadecimal and octal as in C; None where the digits fit no base, which is text then."""
    digits = text.lstrip("+-")
    base = 16 if digits[:2] in {"0x", "0X"} else 8 if digits[0] == "0" and digits != "0" else 10
    try:
        return int(text, base)
    except ValueError:
        return None


def _child(node: Node, step: Step) -> tuple[Node, Node] | None:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == step and key.tag != IGNORE:
                return key, value
    elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None


def _position(node: Node) -> Position:
    mark = node.start_mark
    return Position(mark.line + 1, mark.column + 1)
