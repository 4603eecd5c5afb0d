"""The views in use: one for each group of nodes that get the same; its first stream makes it, its last drops it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from xds.config.difference import difference
from xds.config.index import Edits
from xds.config.scope import NodeFacts, ScopeKey
from xds.config.snapshot import Snapshot
from xds.control.telling import tell
from xds.engine.session import Session
from xds.engine.view import View

M = TypeVar("M")
"""A member of a group: whatever the caller knows its streams by."""


@dataclass(slots=True, eq=False)
class Group(Generic[M]):
    """Nodes with an equal scope, and their view."""

    key: ScopeKey
    view: View
    members: dict[M, NodeFacts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Published(Generic[M]):
    """What a new snapshot did."""

    woken: tuple[Session, ...]
    """Sessions that have something to send now."""
    displaced: tuple[M, ...]
    """Members whose scope parted from their group's: they belong to another view now and must come again."""
    views_changed: int


class Store(Generic[M]):
    """Views by scope, and the snapshot that feeds them. One writer: the publisher."""

    def __init__(self) -> None:
        self._snapshot: Snapshot | None = None
        self._by_key: dict[ScopeKey, Group[M]] = {}
        self._by_view: dict[View, Group[M]] = {}

    @property
    def snapshot(self) -> Snapshot | None:
        """The state that is live; None before the first good one."""
        return self._snapshot

    @property
    def groups(self) -> Collection[Group[M]]:
        """All of them, also two that have come to have the same scope."""
        return self._by_view.values()

    def view_for(self, facts: NodeFacts) -> View:
        """The view of a node, made if it is the first. There must be a snapshot."""
        return self._group_for(facts).view

    def join(self, member: M, facts: NodeFacts) -> View:
        """A stream of such a node begins."""
        group = self._group_for(facts)
        group.members[member] = facts
        return group.view

    def leave(self, member: M, view: View) -> None:
        """A stream of this view has ended."""
        group = self._by_view.get(view)
        if group is None:
            return
        group.members.pop(member, None)
        if not group.members:
            self._drop(group)

    def _group_for(self, facts: NodeFacts) -> Group[M]:
        if self._snapshot is None:
            raise AssertionError("admitted before the first snapshot")
        key = self._snapshot.scopes(facts)
        group = self._by_key.get(key)
        if group is None:
            group = Group(key, View())
            group.view.apply(self._snapshot.records_for(key).values(), ())
            self._by_key[key] = self._by_view[group.view] = group
            tell(
                "resources doubtful for some nodes", self._snapshot.problems(key), node=facts.spiffe_id or facts.node_id
            )
        return group

    def publish(self, snapshot: Snapshot) -> Published[M]:
        """Swap the snapshot and bring every view to it, at the cost of the files that changed and their readers."""
        old, self._snapshot = self._snapshot, snapshot
        edits = snapshot.changes_since(old)
        selected = frozenset(_selected_differently(edits))
        woken: list[Session] = []
        displaced: list[M] = []
        changed = 0
        for group in list(self._by_view.values()):
            if not group.members:
                self._drop(group)
                continue
            key_old, commit_old = group.key, group.view.commit
            if selected:
                displaced += _rescope(group, snapshot, selected)
            upserts, removals = difference(edits, snapshot.files, key_old, group.key)
            woken += group.view.apply(upserts, removals)
            changed += group.view.commit != commit_old
        self._index()
        return Published(tuple(woken), tuple(displaced), changed)

    def _drop(self, group: Group[M]) -> None:
        del self._by_view[group.view]
        if self._by_key.get(group.key) is group:
            del self._by_key[group.key]

    def _index(self) -> None:
        self._by_key = {}
        for group in self._by_view.values():
            self._by_key.setdefault(group.key, group)


def _selected_differently(edits: Edits) -> Iterator[str]:
    """The files that are for other nodes than before."""
    for path, (old, new) in edits.items():
        if (old.selectors if old is not None else ()) != (new.selectors if new is not None else ()):
            yield path


def _rescope(group: Group[M], snapshot: Snapshot, selected: frozenset[str]) -> list[M]:
    """Give the group the scope that most of its members have now, and say which have another.

    Only these files are looked at: of all others the members get the same as before.
    """
    parts = {member: snapshot.scopes(facts, selected) for member, facts in group.members.items()}
    ((part, _),) = Counter(parts.values()).most_common(1)
    group.key = tuple(sorted((frozenset(group.key) - selected).union(part)))
    others = [member for member, other in parts.items() if other != part]
    for member in others:
        del group.members[member]
    return others
