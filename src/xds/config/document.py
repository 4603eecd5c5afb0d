"""What a file says, as plain values, and where in the file it says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from xds.api.paths import Step

DEPTH_MAX: Final = 100
"""Values inside values; the limit of proto3 JSON readers."""

NODES_MAX: Final = 5_000_000
"""Values in one file, aliases expanded: a hundred times the largest fleet of clusters known to peers."""


class Position(NamedTuple):
    """Line and column, from 1."""

    line: int
    column: int


class Document(Protocol):
    """A parsed file."""

    @property
    def value(self) -> Any:
        """None, booleans, numbers, text, lists and dicts, as in JSON."""

    def position(self, path: Sequence[Step], *, key: bool = False) -> Position:
        """Where the value at this path stands (or its key): as far down as the path can be followed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a text is no document."""

    message: str
    position: Position


class Unreadable(Exception):  # noqa: N818 - it is a fact about a text; `files` turns it into a `FileError`
    """The text is no document, for these reasons."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.faults = tuple(faults)
