"""An append-only log whose readers each hold one integer."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

KEEP: Final = 1024
"""Entries below which a log is not worth trimming."""


class Log(Generic[T]):
    """Entries with their commits, which never decrease. Positions count from the first entry ever."""

    __slots__ = ("base", "commits", "head", "items", "trim_at")

    def __init__(self) -> None:
        self.base = 0
        self.head = 0
        """Position behind the last entry: a reader's cursor here has read everything."""
        self.items: list[T] = []
        self.commits: list[int] = []
        self.trim_at = KEEP
        """When so many entries are held, find out who still needs them."""

    def append(self, item: T, commit: int) -> None:
        """Add an entry."""
        self.items.append(item)
        self.commits.append(commit)
        self.head += 1

    def since(self, cursor: int, upto: int | None = None) -> Sequence[T]:
        """The entries from a cursor on."""
        return self.items[cursor - self.base : None if upto is None else upto - self.base]

    def commit_at(self, cursor: int) -> int:
        """The commit of the entry at a cursor."""
        return self.commits[cursor - self.base]

    def entries(self, cursor: int) -> zip[tuple[T, int]]:
        """Entries with their commits, from a cursor on."""
        start = cursor - self.base
        return zip(self.items[start:], self.commits[start:], strict=True)

    def find(self, commit: int) -> int:
        """The first position whose commit is not below the given one."""
        return self.base + bisect_left(self.commits, commit)

    def trim(self, cursor: int) -> None:
        """Forget what is before a cursor."""
        count = cursor - self.base
        if count > 0:
            del self.items[:count], self.commits[:count]
            self.base = cursor
        self.trim_at = max(KEEP, 2 * len(self.items))
