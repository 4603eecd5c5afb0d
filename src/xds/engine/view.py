"""What one group of nodes gets. One writer, many sessions, everything synchronous."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from xds.engine.record import Record
from xds.engine.shelf import Shelf, version_text

if TYPE_CHECKING:
    from xds.engine.session import Session

_EMPTY: Final[Mapping[str, Record]] = MappingProxyType({})


class View:
    """Records by type, and the sessions that read them. A change costs O(change + subscribers)."""

    __slots__ = ("_serials", "_sessions", "_shelves", "commit", "name")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.commit = 0
        """Grows with each `apply` that changed something."""
        self._shelves: dict[str, Shelf] = {}
        self._sessions: dict[Session, None] = {}
        # One counter for all types, so that the nonce of one type is never that of another (9).
        self._serials: Iterator[int] = itertools.count(1)

    def __repr__(self) -> str:
        return f"View({self.name!r} commit={self.commit} sessions={len(self._sessions)})"

    def apply(
        self,
        upserts: Iterable[Record],
        removals: Iterable[tuple[str, str]],
        *,
        versions: Mapping[str, str] | None = None,
    ) -> list[Session]:
        """One commit: removals are (type_url, name). Returns the sessions to be woken, each once.

        What is there already in the same version is left alone, and a name both removed and given is given. `versions`
        sets the version of a type to an outside text, until the type changes again.
        """
        commit = self.commit + 1
        due: dict[Session, None] = {}
        touched: dict[str, Shelf] = {}
        records = list(upserts)
        kept = {(record.type_url, record.name) for record in records}
        for type_url, name in removals:
            shelf = self._shelves.get(type_url)
            if shelf is not None and (type_url, name) not in kept and shelf.remove(name, commit, due):
                touched[type_url] = shelf
        for record in records:
            shelf = self.shelf(record.type_url)
            if shelf.put(record, commit, due):
                touched[record.type_url] = shelf
        if touched:
            self.commit = commit
        for shelf in touched.values():
            shelf.touched(due)
        for type_url, version in (versions or {}).items():
            shelf = self.shelf(type_url)
            shelf.version = version
            shelf.replies.clear()
        return list(due)

    def replace(self, records: Iterable[Record]) -> list[Session]:
        """Make these, and only these, the view's records."""
        upserts = list(records)
        kept = {(record.type_url, record.name) for record in upserts}
        removals = [
            (type_url, name)
            for type_url, shelf in self._shelves.items()
            for name in shelf.records
            if (type_url, name) not in kept
        ]
        return self.apply(upserts, removals)

    def get(self, type_url: str, name: str) -> Record | None:
        """The record of that type and name."""
        return self.records(type_url).get(name)

    def records(self, type_url: str) -> Mapping[str, Record]:
        """All records of a type by name. Not to be changed."""
        shelf = self._shelves.get(type_url)
        return shelf.records if shelf is not None else _EMPTY

    def version(self, type_url: str) -> str:
        """The version of a type: a function of its names and their versions only, hence equal on every replica (37)."""
        shelf = self._shelves.get(type_url)
        return shelf.version if shelf is not None else version_text(0)

    @property
    def types(self) -> Collection[str]:
        """The types of which there are records or subscribers."""
        return self._shelves.keys()

    @property
    def sessions(self) -> Collection[Session]:
        """The open sessions."""
        return self._sessions.keys()

    def attach(self, session: Session) -> None:
        """Called by a session when it begins."""
        self._sessions[session] = None

    def detach(self, session: Session) -> None:
        """Called by a session when it closes."""
        self._sessions.pop(session, None)
        # A type that only clients ever spoke of is forgotten with its last subscriber.
        for type_url in [type_url for type_url, shelf in self._shelves.items() if shelf.idle]:
            del self._shelves[type_url]

    def shelf(self, type_url: str) -> Shelf:
        """The shelf of a type, made if there is none."""
        shelf = self._shelves.get(type_url)
        if shelf is None:
            shelf = self._shelves[type_url] = Shelf(type_url, self._serials)
        return shelf
