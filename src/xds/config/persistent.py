"""An immutable mapping whose changed copy costs the change, not the size: what a snapshot shares with the next one.

A hash trie: a leaf is a small dict, a branch a tuple of nodes chosen by five bits of the key's hash. A copy makes anew
only the nodes on the way to what changed and shares all others, so two maps of which one was made from the other are
compared by walking where they differ. No order is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeVar

K = TypeVar("K")
V = TypeVar("V")
Node = dict[K, V] | tuple["Node[K, V]", ...]

BITS: Final = 5
FAN: Final = 1 << BITS
LEAF_MAX: Final = FAN
"""A leaf with more keys becomes a branch."""
SHIFT_MAX: Final = 60
"""Below this depth a hash has no more bits; what collides so far stays in one leaf."""


class PersistentMap(Mapping[K, V]):
    """Values are never None: that is what `updated` takes to remove a key. Safe to be read by several threads."""

    __slots__ = ("_length", "_root")

    def __init__(self) -> None:
        """Empty; what it is to hold, `updated` puts into a copy."""
        self._root: Node[K, V] = {}
        self._length = 0

    def __len__(self) -> int:
        """How many keys there are."""
        return self._length

    def __iter__(self) -> Iterator[K]:
        """The keys, in no order."""
        for leaf in _leaves(self._root):
            yield from leaf

    def __getitem__(self, key: K) -> V:
        """The value of a key. Raises `KeyError`."""
        node, bits = self._root, hash(key)
        while isinstance(node, tuple):
            node = node[bits % FAN]
            bits >>= BITS
        return node[key]

    def updated(self, edits: Mapping[K, V | None]) -> PersistentMap[K, V]:
        """A copy with these values; None removes. Costs O(edits), and this map stays as it is."""
        if not edits:
            return self
        made: PersistentMap[K, V] = PersistentMap()
        made._root = _edited(self._root, edits, 0)
        made._length = self._length + sum((value is not None) - (key in self) for key, value in edits.items())
        return made

    def changed_since(self, old: PersistentMap[K, V]) -> dict[K, tuple[V | None, V | None]]:
        """Keys whose value is another object, or is on one side only: (old, new). Costs O(differences) of relatives."""
        found: dict[K, tuple[V | None, V | None]] = {}
        _differ(old._root, self._root, found)
        return found


def _edited(node: Node[K, V], edits: Mapping[K, V | None], shift: int) -> Node[K, V]:
    if isinstance(node, dict):
        values = {key: value for key, value in {**node, **edits}.items() if value is not None}
        return values if len(values) <= LEAF_MAX or shift >= SHIFT_MAX else _edited(({},) * FAN, values, shift)
    parts: dict[int, dict[K, V | None]] = {}
    for key, value in edits.items():
        parts.setdefault((hash(key) >> shift) % FAN, {})[key] = value
    children = list(node)
    for at, part in parts.items():
        children[at] = _edited(children[at], part, shift + BITS)
    return tuple(children) if any(children) else {}


def _differ(old: Node[K, V], new: Node[K, V], found: dict[K, tuple[V | None, V | None]]) -> None:
    if old is new:
        return
    if isinstance(old, tuple) and isinstance(new, tuple):
        for one, other in zip(old, new, strict=True):
            if one is not other:
                _differ(one, other, found)
        return
    before, after = _flat(old), _flat(new)
    for key in {**before, **after}:
        was, now = before.get(key), after.get(key)
        if was is not now:
            found[key] = was, now


def _flat(node: Node[K, V]) -> dict[K, V]:
    return {key: value for leaf in _leaves(node) for key, value in leaf.items()}


def _leaves(node: Node[K, V]) -> Iterator[dict[K, V]]:
    if isinstance(node, dict):
        yield node
        return
    for child in node:
        yield from _leaves(child)
