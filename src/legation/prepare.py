"""The directories of a control plane, and the lock that keeps a second one out of them."""

from __future__ import annotations

import fcntl
import json
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from legation.settings import Settings
from xds.errors import ConfigError, LocalError

LOCK = "supervisor.lock"
STATE = "supervisor.json"
FLOCK = "hhqqi4x"
"""`struct flock` of 64-bit Linux: type, whence, start, length, pid."""


def prepare(settings: Settings) -> None:
    """Make what is missing. Raises `ConfigError` for what the operator must repair."""
    for name in ("resources", "entries"):
        _content_directory(name, getattr(settings, name), made=name in settings.defaulted)
    for path in (settings.data_dir, settings.run_dir, settings.nodes_dir):
        _private_directory(path)


def _content_directory(name: str, path: Path, *, made: bool) -> None:
    if made:
        _make(path, 0o755, name)
    if not path.is_dir():
        what = "is not a directory" if path.exists() else "does not exist"
        raise ConfigError(f"{name}: {path} {what}. Make it (mkdir -p {path}) or correct `{name}` in legation.yaml.")
    if not os.access(path, os.R_OK | os.X_OK):
        raise ConfigError(f"{name}: {path} cannot be read by this user (uid {os.getuid()}).")


def _private_directory(path: Path) -> None:
    _make(path, 0o700, "data_dir")
    if not path.is_dir():
        raise ConfigError(f"data_dir: {path} is not a directory.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(
            f"data_dir: {path} is not writable by this user (uid {os.getuid()}). "
            f"Give it away (chown -R {os.getuid()} {path}) or set another `data_dir` in legation.yaml."
        )


def _make(path: Path, mode: int, name: str) -> None:
    try:
        path.mkdir(mode=mode, parents=True, exist_ok=True)
    except FileExistsError:
        return  # a file; the caller says so
    except OSError as error:
        raise ConfigError(f"{name}: {path} cannot be made: {error.strerror}. Set `{name}` in legation.yaml.") from None


@contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Hold the directory's lock; it ends with the process. Raises `LocalError` where another supervisor has it."""
    descriptor = os.open(settings.run_dir / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _whole_file())
        except (BlockingIOError, PermissionError):
            raise LocalError(_taken(settings)) from None
        yield
    finally:
        os.close(descriptor)


def _taken(settings: Settings) -> str:
    pid = (read_state(settings) or {}).get("pid", "unknown")
    return (
        f"another `legation up` (pid {pid}) already runs on {settings.data_dir}. "
        "Stop it first, or give this one its own `data_dir` and addresses in legation.yaml."
    )


def is_running(settings: Settings) -> bool:
    """True while a supervisor holds the lock. Asks the kernel; takes no lock itself, not even for a moment.

    Raises `PermissionError` where this user may not look.
    """
    try:
        descriptor = os.open(settings.run_dir / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _whole_file())
    finally:
        os.close(descriptor)
    kind: int = struct.unpack_from("h", answer)[0]
    return kind != fcntl.F_UNLCK


def _whole_file() -> bytes:
    return struct.pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


def write_state(settings: Settings, state: dict[str, Any]) -> None:
    """Publish what the supervisor knows, for `legation status`. Never half-written."""
    path = settings.run_dir / STATE
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(state) + "\n", encoding="utf-8")
    temporary.replace(path)


def read_state(settings: Settings) -> dict[str, Any] | None:
    """What the last supervisor published, if anything."""
    try:
        state = json.loads((settings.run_dir / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) else None
