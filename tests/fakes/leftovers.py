"""What a test must not leave behind: processes, files in the temporary directory, sockets that listen, shared memory.

Others run things on this machine too. So only what is certainly ours counts: descendants, also those whose parent has
ended; what lies in a temporary directory of this test run's own; our own descriptors; and Envoy's files in /dev/shm by
the names that our processes have mapped.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import re
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 10.0
"""What is ending may take so long, for instance the children of a process that was killed."""
SHARED = Path("/dev/shm")
_MAPPED = re.compile(rb" /dev/shm/(envoy_shared_memory_\d+)")


def adopt_orphans() -> None:
    """From now on a descendant whose parent has ended becomes a child of this process, and is seen."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def children_of(pid: int | str = "self") -> Iterator[int]:
    """Its children, also those that have ended and that nobody has waited for."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                yield from map(int, (task / "children").read_text().split())


def descendants(pid: int | str = "self") -> Iterator[int]:
    for child in children_of(pid):
        yield child
        yield from descendants(child)


def has_ended(pid: int) -> bool:
    """A zombie counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def words_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def temporary() -> frozenset[Path]:
    return frozenset(Path(tempfile.gettempdir()).iterdir())


def listening() -> frozenset[int]:
    """Inodes of this process's sockets that listen."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            status = os.fstat(int(entry.name))
            if stat.S_ISSOCK(status.st_mode):
                with socket.socket(fileno=os.dup(int(entry.name))) as one:
                    if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                        found.add(status.st_ino)
    return frozenset(found)


class Mapped:
    """Names of the shared memory that processes of ours have had."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def note(self) -> None:
        """Look at every descendant that runs now."""
        for pid in descendants():
            with contextlib.suppress(OSError):
                self.names |= {name.decode() for name in _MAPPED.findall(Path(f"/proc/{pid}/maps").read_bytes())}

    def left(self) -> frozenset[str]:
        return frozenset(name for name in self.names if (SHARED / name).exists())


MAPPED = Mapped()
"""Filled before tests end their processes."""


@dataclass(frozen=True)
class Ground:
    """What is there at one moment."""

    children: frozenset[int] = field(default_factory=lambda: frozenset(children_of()))
    files: frozenset[Path] = field(default_factory=temporary)
    sockets: frozenset[int] = field(default_factory=listening)
    shared: frozenset[str] = field(default_factory=MAPPED.left)

    def news(self) -> dict[str, list[str]]:
        """What has come since and is still there."""
        running = [pid for pid in children_of() if pid not in self.children and not has_ended(pid)]
        found = {
            "processes": [f"{pid} {words_of(pid)}" for pid in running],
            "temporary files": sorted(path.name for path in temporary() - self.files),
            "sockets that listen": [str(inode) for inode in listening() - self.sockets],
            "shared memory": sorted(MAPPED.left() - self.shared),
        }
        return {kind: names for kind, names in found.items() if names}

    def settled_news(self) -> dict[str, list[str]]:
        """The same, after what was just ending has had its time."""
        end = time.monotonic() + GRACE_S
        while found := self.news():
            if time.monotonic() > end:
                break
            gc.collect()
            time.sleep(0.02)
        return found

    def restore(self) -> None:
        """End, reap and remove what came since, so that the next test is not blamed for it."""
        for pid in list(children_of()):
            if pid not in self.children:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    if not has_ended(pid):
                        os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
        for path in temporary() - self.files:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        for name in MAPPED.left() - self.shared:
            (SHARED / name).unlink(missing_ok=True)


@contextlib.contextmanager
def nothing_left(by: str) -> Iterator[None]:
    """Fail if something is left after this that was not there before."""
    before = Ground()
    yield
    left = before.settled_news()
    before.restore()
    assert left == {}, f"left behind by {by}: {left}"
