"""What the directory of resources asks for: pure decisions, apart from the shell that waits and reads (`source`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from xds import limits
from xds.config.problems import Problem

BURST_MAX_S: Final = 5.0
"""Files that change without a pause are read after this time all the same: fifty quiet times."""

PYTHON: Final = ".py"
SUFFIXES: Final = (".yaml", ".yml", ".json", PYTHON)


class Stamp(NamedTuple):
    """What tells that a file is another one or was written again, without reading it."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    """A writer can set the modification time back, this one it cannot."""


NEVER: Final = Stamp(-1, -1, -1, -1, -1)
"""No file's: what had it is read with the next change."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found in the directory."""

    files: Mapping[str, Stamp] = field(default_factory=dict)
    """By path below the directory."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Which files to read, and which results to forget."""

    read: tuple[str, ...]
    gone: tuple[str, ...]


def is_resource_file(name: str) -> bool:
    """Whether a file holds resources.

    Hidden files belong to editors, mounts and version control; a Python file that begins with `_` is a module that
    others import. Any other suffix (a README, a certificate) is none of our business.
    """
    return name.endswith(SUFFIXES) and not _last(name).startswith((".", "_") if is_python(name) else ".")


def is_python_module(name: str) -> bool:
    """Whether resource files in Python may import this file."""
    return is_python(name) and _last(name).startswith("_")


def is_python(name: str) -> bool:
    """Whether a file is evaluated rather than parsed."""
    return name.endswith(PYTHON)


def _last(path: str) -> str:
    # There are thousands, and each change asks: `PurePath` takes longer for it than the system does for a stat.
    return path.rpartition("/")[2]


def plan(known: Mapping[str, Stamp], seen: Mapping[str, Stamp], *, everything: bool = False) -> Plan:
    """What to read of `seen`, given what was `known` when it was read last.

    When a module changes, the Python files that may import it are evaluated again: which of them do is not known.
    """
    changed = {name for name, stamp in seen.items() if everything or known.get(name) != stamp}
    gone = known.keys() - seen.keys()
    if any(is_python_module(name) for name in changed | gone):
        changed |= {name for name in seen if is_python(name)}
    return Plan(tuple(sorted(filter(is_resource_file, changed))), tuple(sorted(gone)))


def refuse_emptied(good_files: int, seen_files: int, directory: str) -> Problem | None:
    """Why an empty directory is not published after a state that had files.

    An empty directory is more often a failed mount, a deployment half done or a slip than a wish, and it would take
    every listener and cluster from every Envoy. Whoever means it says so with a file that holds `resources: []`.
    """
    if seen_files or not good_files:
        return None
    return Problem(
        directory,
        f"has become empty; the last good state ({good_files} files) stays live."
        " If nothing is to be served, say so: put a file there that holds `resources: []`",
    )


class Debounce:
    """When a burst of changes is over. Times are the caller's, in seconds."""

    __slots__ = ("_first", "_last", "_now", "_quiet_s")

    def __init__(self, quiet_s: float = limits.DEBOUNCE_S) -> None:
        self._quiet_s = quiet_s
        self._first = self._last = math.inf
        self._now = False

    def changed(self, now: float, *, at_once: bool = False) -> None:
        """Note that something changed. `at_once`: all of it did, in one step (a symlink was renamed, SIGHUP)."""
        self._first = min(self._first, now)
        self._last = now
        self._now = self._now or at_once

    @property
    def due(self) -> float:
        """When to read: infinity if nothing changed."""
        if self._now:
            return self._last
        return min(self._last + self._quiet_s, self._first + BURST_MAX_S)

    def taken(self) -> None:
        """Begin anew: what changes from here on belongs to the next reading."""
        self._first = self._last = math.inf
        self._now = False
