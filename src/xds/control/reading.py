"""Looks into the directory of resources and reads its files. Blocking: `source` calls it on a worker thread."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from xds import limits
from xds.config.problems import FileError, Problem
from xds.control.scan import Listing, Stamp, is_python, is_python_module, is_resource_file

DEPTH_MAX: Final = 16
"""Directories below directories; deeper is a loop of mounts rather than a configuration."""

_SET_SIGNAL: Final = 10
"""F_SETSIG, which the standard library does not name."""

FILES_MAX: Final = 20_000
"""Two files for each of the 10,000 clusters of the largest fleet known to peers."""


def list_directory(directory: Path) -> Listing:
    """Every file that counts, below the directory, symbolic links followed, hidden names left out."""
    files: dict[str, Stamp] = {}
    problems: list[Problem] = []
    try:
        for found, entry in _walk(directory, "", frozenset(), problems):
            if not (is_resource_file(found) or is_python_module(found)):
                continue
            _stamp(found, entry, files, problems)
            if len(files) > FILES_MAX:
                problems.append(Problem(str(directory), f"holds more than {FILES_MAX} files"))
                break
    except OSError as error:
        problems.append(Problem(str(directory), f"the directory of resources cannot be read: {error.strerror}"))
    foreign = _foreign_python(directory, files)
    if foreign:  # one of them may be a module that any other imports, so none of them is run
        files = {name: stamp for name, stamp in files.items() if not is_python(name)}
    return Listing(files, (*problems, *foreign))


def _foreign_python(directory: Path, files: Iterable[str]) -> list[Problem]:
    """The Python files that somebody else than root and this process's user could have written."""
    known: dict[Path, str | None] = {}
    problems = []
    for name in filter(is_python, files):
        listed = directory / name
        file = listed.resolve()
        for path in (file, file.parent, listed.parent):
            if path not in known:
                known[path] = _doubt(path)
            if (reason := known[path]) is not None:
                problems.append(Problem(name, f"is not run: Python runs with this process's rights, and {reason}"))
                break
    return problems


def _doubt(path: Path) -> str | None:
    try:
        status = path.stat()
        if os.statvfs(path).f_flag & os.ST_RDONLY:
            return None
    except OSError as error:
        return f"{path} cannot be read ({error.strerror})"
    us = os.geteuid()
    if status.st_uid not in {us, 0}:
        return f"{path} belongs to user {status.st_uid}, neither to root nor to us: chown {us} {path}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not any(map(_private, path.parents)):
        return f"{path} can be written by others: chmod go-w {path}"
    return None


def _private(directory: Path) -> bool:
    """Whether nobody else gets to what is below."""
    status = directory.stat()
    return status.st_uid in {os.geteuid(), 0} and not status.st_mode & (stat.S_IXGRP | stat.S_IXOTH)


def _walk(
    root: Path, below: str, parents: frozenset[tuple[int, int]], problems: list[Problem]
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    here = root / below
    status = here.stat()
    identity = (status.st_dev, status.st_ino)
    if identity in parents or len(parents) >= DEPTH_MAX:
        problems.append(Problem(below, "the directory lies within itself (a symbolic link leads back) or too deep"))
        return
    with os.scandir(here) as entries:
        seen = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in seen:
        path = f"{below}/{entry.name}" if below else entry.name
        if not entry.is_dir():
            yield path, entry
        elif entry.name != "__pycache__":
            try:
                yield from _walk(root, path, parents | {identity}, problems)
            except OSError as error:
                problems.append(Problem(path, f"the directory cannot be read: {error.strerror}"))


def _stamp(name: str, entry: os.DirEntry[str], files: dict[str, Stamp], problems: list[Problem]) -> None:
    try:
        status = entry.stat()  # of what a symbolic link leads to
    except FileNotFoundError:
        if entry.is_symlink():  # otherwise it went away since it was listed, and the watch will say so
            problems.append(Problem(name, "is a symbolic link to a file that does not exist"))
        return
    except OSError as error:
        problems.append(Problem(name, f"cannot be read: {error.strerror}"))
        return
    if not stat.S_ISREG(status.st_mode):
        problems.append(Problem(name, "is not a regular file"))
        return
    files[name] = Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class BeingWritten(FileError):  # noqa: N818 - a state that passes
    """Somebody has the file open for writing: what is in it may be half of what is meant."""


def read_bytes(path: Path, name: str) -> bytes:
    """The content of one file. Raises `FileError`."""
    try:
        # Without O_NONBLOCK a pipe that took the file's place would hold us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            if _is_being_written(descriptor):
                raise BeingWritten.of(name, "is being written; it is read when its writer closes it")
            content = file.read(limits.CONFIG_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise FileError.of(name, f"cannot be read: {error.strerror}") from error
    if len(content) > limits.CONFIG_FILE_BYTES_MAX:
        raise FileError.of(name, f"is larger than {limits.CONFIG_FILE_BYTES_MAX} bytes")
    return content


def _is_being_written(descriptor: int) -> bool:
    """Whether any process has the file open for writing.

    A read lease is granted only if nobody has. We hold it for no longer than it takes to give it back; a writer that
    comes in between waits so long, and we are told by a signal, here one that does nothing by default. Where leases are
    not to be had (files of others, some file systems) nothing is known, and the file is read.
    """
    try:
        fcntl.fcntl(descriptor, _SET_SIGNAL, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def text_of(content: bytes, name: str) -> str:
    """A file's content as text. Raises `FileError`."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FileError.of(name, f"is not UTF-8 text (byte {error.start})", line) from None
