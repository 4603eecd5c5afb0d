"""Files that nobody else may read: checked when opened, replaced atomically, durable when the call returns."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ca.errors import ConfigError, LocalError

TEMPORARY_PREFIX: Final = ".tmp-"
_FILE_BYTES_MAX: Final = 1 << 20
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def read_private(path: Path, *, owner_root: bool = False) -> bytes:
    """Content of a regular file of ours, 0600 or tighter, no symlink. Raises `ConfigError`, `FileNotFoundError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        if path.is_symlink():
            raise ConfigError(f"{path} is a symbolic link: put the file itself there") from None
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor that is checked before it is read)
        _check(path, os.fstat(descriptor), directory=False, forbidden=_OTHERS, owner_root=owner_root)
        data = file.read(_FILE_BYTES_MAX + 1)
    if len(data) > _FILE_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {_FILE_BYTES_MAX} bytes: it is not what belongs there")
    return data


def check_file(path: Path) -> None:
    """Refuse a file that is a symlink, another's, or open to others. Raises `ConfigError`, `FileNotFoundError`."""
    _check(path, os.lstat(path), directory=False, forbidden=_OTHERS, owner_root=False)


def check_directory(path: Path, *, private: bool = True) -> None:
    """Refuse a directory that is a symlink, another's, or open to others. Raises `ConfigError`, `FileNotFoundError`."""
    forbidden = _OTHERS if private else _OTHERS_WRITE
    _check(path, os.lstat(path), directory=True, forbidden=forbidden, owner_root=False)


def make_directory(path: Path, *, private: bool = True) -> None:
    """Make a directory (0700) where there is none, and check it where there is one. Raises `ConfigError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {error.strerror}") from None
    check_directory(path, private=private)


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole: temporary file, fsync, rename, fsync of the directory. 0600. Raises `LocalError`."""
    temporary = path.with_name(TEMPORARY_PREFIX + path.name)
    with _told(f"{path} cannot be written"):
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 (made with O_EXCL and O_NOFOLLOW)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    rename(temporary, path)


def rename(old: Path, new: Path) -> None:
    """Rename, and make it durable. Raises `LocalError`."""
    with _told(f"{new} cannot be put in its place"):
        old.rename(new)
        sync_directory(new.parent)


def remove(path: Path) -> None:
    """Remove a file, where it exists, and make it durable. Raises `LocalError`."""
    with _told(f"{path} cannot be removed"):
        path.unlink(missing_ok=True)
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """A failure of the disk, in a sentence."""
    try:
        yield
    except OSError as error:
        raise LocalError(f"{what}: {error.strerror}") from None


def lock(path: Path) -> int:
    """Take the one lock of a data directory; held until the process ends. Raises `LocalError`."""
    with _told(f"{path} cannot be opened"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LocalError(
            f"another signer works in {path.parent}: stop it, or give this one its own data directory"
        ) from None
    return descriptor


def _check(path: Path, status: os.stat_result, *, directory: bool, forbidden: int, owner_root: bool) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise ConfigError(f"{path} is a symbolic link: put the directory itself there")
    if directory != stat.S_ISDIR(status.st_mode) or (not directory and not stat.S_ISREG(status.st_mode)):
        raise ConfigError(f"{path} is no {'directory' if directory else 'regular file'}")
    own = os.geteuid()
    if status.st_uid != own and not (owner_root and status.st_uid == 0):
        raise ConfigError(
            f"{path} belongs to uid {status.st_uid}, not to this process ({own}): chown it, or run as its owner"
        )
    if status.st_mode & forbidden:
        mode = stat.S_IMODE(status.st_mode)
        cure = f"{mode & ~forbidden:04o}"
        raise ConfigError(f"{path} has mode {mode:04o}, which opens it to other users: chmod {cure} {path}")
