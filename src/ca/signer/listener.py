"""The signer's socket file: 0600 in a 0700 directory, and nothing foreign in its place."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final, Protocol

from ca.errors import ConfigError, LocalError
from ca.signer import files

PATH_BYTES_MAX: Final = 107
"""Of a Unix socket's name on Linux."""

_BACKLOG: Final = 64
_SOCKET_UMASK: Final = 0o177
_CREDENTIALS = struct.Struct("3i")


class HasOptions(Protocol):
    """The part of a socket that tells who is at its other end."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """As `socket.socket.getsockopt`."""


def listen(path: Path) -> socket.socket:
    """Listen at that path. Raises `ConfigError` if others can reach it, `LocalError` if somebody listens there."""
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise ConfigError(f"{path} is longer than the {PATH_BYTES_MAX} bytes that a Unix socket's path may have")
    files.make_directory(path.parent)
    _clear_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(_SOCKET_UMASK)
    try:
        listener.bind(os.fspath(path))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise LocalError(f"cannot listen at {path}: {error.strerror}") from None
    finally:
        os.umask(before)
    return listener


def remove(path: Path) -> None:
    """Remove the socket file at the end."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def peer_uid(connection: HasOptions) -> int:
    """Who connected, as the kernel says."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(data)
    return int(uid)


def _clear_stale(path: Path) -> None:
    """Remove the socket that a signer left when it was killed; refuse anything else."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigError(f"{path} is there already and is no socket: move it away, or name another --socket")
    if status.st_uid != os.geteuid():
        raise ConfigError(f"{path} belongs to uid {status.st_uid}, not to this process: name another --socket")
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        mode = stat.S_IMODE(status.st_mode)
        raise ConfigError(
            f"{path} has mode {mode:04o}, which opens it to other users; a signer makes it 0600. Find out who "
            "changed it, then remove it"
        )
    if _answers(path):
        raise LocalError(f"another process listens at {path}: stop it, or name another --socket")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # its queue is full, so somebody has it
            return True
    return True
