"""Certificate files as one unit: a new directory each time, and the symlink `current` renamed over.

Readers that watch the parent (Envoy's `watched_directory`, our xds process) notice exactly that, and see the old set or
the new one, never a mixture; overwriting in place or unlinking and linking again is not noticed (facts 12).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from xds.errors import LocalError

CURRENT: Final = "current"
_GENERATION: Final = "gen-"
_NEXT: Final = ".next"


def publish(parent: Path, files: Mapping[str, bytes]) -> None:
    """Make these the files of `parent/current`: 0600 in a 0700 directory. Raises `LocalError`; then the old stay."""
    try:
        with _locked(parent):
            _publish(parent, files)
    except OSError as error:
        raise LocalError(f"cannot write {parent / CURRENT}: {error.strerror or error}") from error


def write_file(path: Path, data: bytes) -> None:
    """Replace one file, 0600, by a rename. Raises `LocalError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        _write(temporary, data)
        temporary.rename(path)
    except OSError as error:
        raise LocalError(f"cannot write {path}: {error.strerror or error}") from error


def make_private(path: Path) -> None:
    """Make a directory for keys, 0700; refuse one that others may write to. Raises `LocalError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError as error:
        raise LocalError(f"cannot make the directory {path}: {error.strerror or error}") from error
    if found.st_uid != os.geteuid():
        raise LocalError(
            f"{path} belongs to uid {found.st_uid}, not to us ({os.geteuid()}); refusing to put keys there"
        )
    if found.st_mode & 0o022:
        mode = stat.S_IMODE(found.st_mode)
        raise LocalError(f"{path} has mode {mode:04o}, others may change it; refusing to put keys there. Make it 0700")


def _publish(parent: Path, files: Mapping[str, bytes]) -> None:
    current = parent / CURRENT
    if current.exists() and not current.is_symlink():
        raise LocalError(f"{current} is no symlink, so it was not made by us; move it away")
    generation = Path(tempfile.mkdtemp(prefix=_GENERATION, dir=parent))
    for name, data in files.items():
        _write(generation / name, data)
    _sync(generation)
    (parent / _NEXT).unlink(missing_ok=True)
    (parent / _NEXT).symlink_to(generation.name)
    (parent / _NEXT).rename(current)
    _sync(parent)
    _remove_others(parent, generation.name)


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (made with O_EXCL and its mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One writer at a time: a renewal and somebody's enrolment may meet."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove_others(parent: Path, kept: str) -> None:
    """The sets before this one, also those that a crash left half-written; keys do not lie about longer than needed."""
    for other in parent.glob(f"{_GENERATION}*"):
        if other.name != kept:
            shutil.rmtree(other, ignore_errors=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
