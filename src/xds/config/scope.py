"""Which nodes a file is for. A pattern may hold `*`, any run of characters; everything else stands for itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xds.api.paths import Step
from xds.names import NODE_PATH, SpiffeId

ScopeKey = tuple[str, ...]
"""Paths of the scoped files that match a node, in order. Nodes with an equal key get the same."""

PATTERN_CHARS_MAX: Final = 4096
NODE_PATTERN: Final = f"spiffe://*{NODE_PATH}*"
FIELDS: Final = ("spiffe_id", "node_id", "cluster")
METADATA: Final = "metadata"


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What is known of a node."""

    spiffe_id: SpiffeId | str | None
    """Verified, from its certificate; None where there is none (plaintext)."""
    node_id: str = ""
    cluster: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, str]:
        """The texts that patterns are held against, by attribute."""
        found = {"node_id": self.node_id, "cluster": self.cluster}
        if self.spiffe_id is not None:
            found["spiffe_id"] = str(self.spiffe_id)
        for key, value in self.metadata.items():
            if (text := _text(value)) is not None:
                found[f"{METADATA}.{key}"] = text
        return found


@dataclass(frozen=True, slots=True)
class Selector:
    """Nodes that fulfil every condition. A condition is an attribute and the patterns of which one must match."""

    conditions: tuple[tuple[str, tuple[str, ...]], ...]

    def matches(self, facts: NodeFacts) -> bool:
        """Whether this node is meant. An attribute that a node does not have matches nothing."""
        return self.matches_values(facts.values())

    def matches_values(self, values: Mapping[str, str]) -> bool:
        """Like `matches`, for facts that were taken apart once for many selectors."""
        for attribute, patterns in self.conditions:
            value = values.get(attribute)
            if value is None or not any(glob_matches(pattern, value) for pattern in patterns):
                return False
        return True

    def overlaps(self, other: Selector) -> bool:
        """Whether there can be a node that both mean. Exact, because the attributes are independent."""
        theirs = dict(other.conditions)
        return all(
            any(globs_overlap(one, two) for one in patterns for two in theirs[attribute])
            for attribute, patterns in self.conditions
            if attribute in theirs
        )


def overlap(one: Iterable[Selector], other: Iterable[Selector]) -> bool:
    """Whether one node can get two files with these selectors; no selectors mean every node."""
    one, other = tuple(one), tuple(other)
    return not one or not other or any(a.overlaps(b) for a in one for b in other)


def parse_selectors(value: Any) -> tuple[tuple[Selector, ...], list[tuple[tuple[Step, ...], str]]]:
    """Read what `nodes:` holds: the selectors, and what is wrong with it, with paths below `nodes`."""
    if isinstance(value, dict):
        selector, faults = _selector(value, ())
        return (selector,), faults
    if not isinstance(value, list) or not value:
        return (), [((), "expects a list of selectors; leave `nodes` out if the file is for every node")]
    selectors: list[Selector] = []
    problems: list[tuple[tuple[Step, ...], str]] = []
    for index, item in enumerate(value):
        selector, faults = _selector(item, (index,))
        selectors.append(selector)
        problems += faults
    return tuple(selectors), problems


def glob_matches(pattern: str, text: str) -> bool:
    """Linear: the pattern is the operator's, the text may be an attacker's."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, last = rest
    if len(first) + len(last) > len(text) or not text.startswith(first) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True


def globs_overlap(one: str, two: str) -> bool:
    """Whether some text matches both patterns: positions (i, j) reached after a common beginning."""
    if "*" not in one:
        return glob_matches(two, one)
    if "*" not in two:
        return glob_matches(one, two)
    # Both have a star: what stands before the first and after the last must agree, the stars take the rest.
    head_one, tail_one = one.partition("*")[0], one.rpartition("*")[2]
    head_two, tail_two = two.partition("*")[0], two.rpartition("*")[2]
    heads = head_one.startswith(head_two) or head_two.startswith(head_one)
    tails = tail_one.endswith(tail_two) or tail_two.endswith(tail_one)
    return heads and tails


def _selector(value: Any, path: tuple[Step, ...]) -> tuple[Selector, list[tuple[tuple[Step, ...], str]]]:
    if not isinstance(value, dict) or not value:
        return Selector(()), [(path, f"expects a mapping with some of {', '.join((*FIELDS, METADATA))}")]
    conditions: list[tuple[str, tuple[str, ...]]] = []
    faults: list[tuple[tuple[Step, ...], str]] = []
    for key, item in value.items():
        if key in FIELDS:
            _condition(key, item, (*path, key), conditions, faults)
        elif key == METADATA and isinstance(item, dict) and item:
            for name, patterns in item.items():
                _condition(f"{METADATA}.{name}", patterns, (*path, key, name), conditions, faults)
        elif key == METADATA:
            faults.append(((*path, key), "expects a mapping from keys to patterns"))
        else:
            faults.append(((*path, key), f"is no attribute of a node; those are {', '.join((*FIELDS, METADATA))}"))
    return Selector(tuple(sorted(conditions))), faults


def _condition(
    attribute: str,
    value: Any,
    path: tuple[Step, ...],
    conditions: list[tuple[str, tuple[str, ...]]],
    faults: list[tuple[tuple[Step, ...], str]],
) -> None:
    patterns = value if isinstance(value, list) else [value]
    texts = [_text(pattern) if attribute.startswith(METADATA) else pattern for pattern in patterns]
    if not texts or not all(isinstance(text, str) and 0 < len(text) <= PATTERN_CHARS_MAX for text in texts):
        faults.append((path, "expects a pattern (text, not empty; * is any run of characters), or a list of them"))
        return
    if attribute == "spiffe_id" and not all(globs_overlap(str(text), NODE_PATTERN) for text in texts):
        faults.append((path, "fits no node: the identity of a node is spiffe://TRUST-DOMAIN/cp/node/NAME"))
        return
    conditions.append((attribute, tuple(str(text) for text in texts)))


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(value)
    return None
