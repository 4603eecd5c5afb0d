"""The kernel's news of changed files (inotify), for a trio task.

Watched are whole trees, also through symlinks, and everything on the way to them: a path may be a symlink that is
renamed over, may lead through one, and may not exist yet. What changed is not said; whoever is told reads again what
it needs. A rename of a symlink is how a change of several files is published at once, so that is told apart.
"""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio
from inotify_simple import Event, INotify, flags

from xds.errors import LocalError

LINKS_MAX: Final = 40
"""Symlinks on the way to one path; the kernel's own limit."""

_TREE: Final = (
    flags.CLOSE_WRITE
    | flags.MOVED_TO
    | flags.MOVED_FROM
    | flags.CREATE
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ATTRIB
    | flags.ONLYDIR
)
_WAY: Final[int] = flags.MOVED_TO | flags.MOVED_FROM | flags.CREATE | flags.DELETE | flags.ONLYDIR | flags.MASK_ADD
_FILE: Final[int] = _WAY | flags.CLOSE_WRITE | flags.ATTRIB
_SELF: Final[int] = flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR | flags.MASK_ADD


@dataclass(frozen=True, slots=True)
class Change:
    """Something below the watched paths may be different now."""

    immediate: bool
    """True for the rename of a symlink: the change is complete, waiting for more makes no sense."""


async def changes(paths: Iterable[os.PathLike[str] | str]) -> AsyncIterator[Change]:
    """Tell of every change below these paths, for ever.

    The first one comes at once, when the watches are armed: who loads then misses nothing. Changes that come together
    are told as one. Raises `LocalError` where the kernel gives no (more) watches.
    """
    watcher = _Watcher(paths)
    try:
        yield Change(immediate=True)
        while True:
            await trio.lowlevel.wait_readable(watcher.fileno())
            change = watcher.take()
            if change is not None:
                yield change
    finally:
        watcher.close()


class _Watcher:
    """The inotify descriptor, and which names in which directory are of interest."""

    def __init__(self, paths: Iterable[os.PathLike[str] | str]) -> None:
        self._paths = [Path(path).absolute() for path in paths]
        self._directories: dict[int, Path] = {}
        self._wanted: dict[int, set[str] | None] = {}
        """Names of interest in a watched directory; None for all of them."""
        try:
            self._inotify = INotify(nonblocking=True)
        except OSError as error:
            raise _no_watch("files", error) from None
        self._arm()

    def fileno(self) -> int:
        return int(self._inotify.fileno())

    def close(self) -> None:
        self._inotify.close()

    def take(self) -> Change | None:
        """Read what has come, and tell whether it matters."""
        events = [event for event in self._inotify.read(timeout=0) if self._matters(event)]
        if not events:
            return None
        immediate = any(self._renamed_symlink(event) for event in events)
        if any(not event.mask & flags.CLOSE_WRITE for event in events):
            self._arm()
        return Change(immediate)

    def _matters(self, event: Event) -> bool:
        if event.mask & flags.Q_OVERFLOW:
            return True
        if event.mask & flags.IGNORED:
            self._directories.pop(event.wd, None)
            return False
        names = self._wanted.get(event.wd, set())
        if event.mask & (flags.DELETE_SELF | flags.MOVE_SELF):
            return event.wd in self._wanted
        if names is not None and event.name not in names:
            return False
        return not (event.mask & flags.CREATE and _is_empty_file(self._directories[event.wd] / event.name))

    def _renamed_symlink(self, event: Event) -> bool:
        directory = self._directories.get(event.wd)
        return bool(event.mask & flags.MOVED_TO) and directory is not None and (directory / event.name).is_symlink()

    def _arm(self) -> None:
        """Watch what is to be watched by now, and nothing else."""
        self._wanted = {}
        for path in self._paths:
            self._want_way(path)
            self._want_tree(path, set())
        for wd in [wd for wd in self._directories if wd not in self._wanted]:
            del self._directories[wd]
            with suppress(OSError):
                self._inotify.rm_watch(wd)

    def _want_way(self, path: Path) -> None:
        """Watch each step of the way to a path."""
        for directory, name in _steps(path):
            wd = self._watch(directory, _mask_of(directory, name))
            if wd is not None:
                names = self._wanted.setdefault(wd, set())
                if names is not None and name is not None:
                    names.add(name)

    def _want_tree(self, path: Path, seen: set[tuple[int, int]]) -> None:
        """Watch a directory and all below it. Watched first, listed then: what comes in between is an event."""
        try:
            status = path.stat()
        except OSError:
            return
        identity = (status.st_dev, status.st_ino)
        if identity in seen or not stat.S_ISDIR(status.st_mode):
            return
        seen.add(identity)
        wd = self._watch(path, _TREE)
        if wd is None:
            return
        self._wanted[wd] = None
        for entry in _entries(path):
            if entry.is_symlink():
                self._want_way(path / entry.name)
            if entry.is_symlink() or entry.is_dir():
                self._want_tree(path / entry.name, seen)

    def _watch(self, directory: Path, mask: int) -> int | None:
        try:
            wd = int(self._inotify.add_watch(directory, mask))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        except OSError as error:
            raise _no_watch(str(directory), error) from None
        self._directories[wd] = directory
        return wd


def _mask_of(directory: Path, name: str | None) -> int:
    if name is None:
        return _SELF
    return _WAY if (directory / name).is_dir() else _FILE


def _is_empty_file(path: Path) -> bool:
    """True for a file that was just made: it is told of when it has been written."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        return []


def _steps(path: Path) -> Iterator[tuple[Path, str | None]]:
    """What decides where a path leads, in order.

    (directory, name) where a name may come to mean something else: a symlink, what is missing, and the last one.
    (directory, None) for a plain directory on the way, which may only be moved away or deleted.
    """
    todo, links = [path], 0
    while todo:
        where = todo.pop()
        directory = Path(where.anchor)
        parts = where.parts[1:]
        for place, name in enumerate(parts):
            step = directory / name
            if step.is_symlink():
                yield directory, name
                links += 1
                if links <= LINKS_MAX:
                    todo.append(Path(os.path.normpath(directory / step.readlink())).joinpath(*parts[place + 1 :]))
                break
            if place == len(parts) - 1 or not step.exists():
                yield directory, name
                break
            yield step, None
            directory = step


def _no_watch(what: str, error: OSError) -> LocalError:
    return LocalError(
        f"cannot watch {what} for changes: {error.strerror}"
        " (the limits are in /proc/sys/fs/inotify: max_user_watches, max_user_instances)"
    )
