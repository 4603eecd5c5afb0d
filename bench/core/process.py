"""Child processes of a run: started, spoken to in lines of JSON, and always stopped, by their own id."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import trio

STOP_S = 10.0
"""To end by itself after its standard input closed; then it is terminated, and killed after as long again."""
LEASH = Path(__file__).with_name("leash.py")
ROOT = Path(__file__).parents[2]
"""Where `bench` is imported from, in a source tree and in a wheel."""
STDERR_TAIL = 2000
PIPE_BYTES = 1024 * 1024


class RunFailed(Exception):  # noqa: N818 (reads as what happened)
    """A run could not be brought to its end; the message says why."""


class ChildFailed(RunFailed):
    """A child ended before its time, or with an error; the message has the end of what it wrote."""


class Child:
    """One running child. Its events are read when they are waited for: the pipe holds those of a whole run."""

    def __init__(self, name: str, process: trio.Process, stderr: IO[bytes]) -> None:
        self.name = name
        self.process = process
        self._stderr = stderr
        self._partial = b""
        self._events: deque[dict[str, Any]] = deque()
        if process.stdin is None or not isinstance(process.stdout, trio.lowlevel.FdStream):
            raise ValueError(f"{name} was started without pipes")
        self._stdin, self._stdout = process.stdin, process.stdout
        fcntl.fcntl(self._stdout.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    async def send(self, line: str) -> None:
        """Write a line to its standard input."""
        try:
            await self._stdin.send_all(line.encode() + b"\n")
        except trio.BrokenResourceError:
            await self.process.wait()
            raise self.failure() from None

    async def command(self, name: str, **arguments: object) -> None:
        """Send a command as JSON."""
        await self.send(json.dumps({"command": name, **arguments}))

    async def event(self, *names: str) -> dict[str, Any]:
        """The next event of one of these names; others are passed over. Raises `ChildFailed` if none will come."""
        while True:
            while self._events:
                if (event := self._events.popleft())["event"] in names:
                    return event
            await self._read()

    async def _read(self) -> None:
        chunk = await self._stdout.receive_some()
        if not chunk:
            await self.process.wait()
            raise self.failure()
        *lines, self._partial = (self._partial + chunk).split(b"\n")
        self._events.extend(map(json.loads, lines))

    async def stop(self) -> None:
        """Close its input, then wait, then signal; it is gone when this returns."""
        await self._stdin.aclose()
        for number in (None, signal.SIGTERM, signal.SIGKILL):
            if number is not None:
                self.process.send_signal(number)
            with trio.move_on_after(STOP_S):
                await self.process.wait()
                return

    def stderr_tail(self) -> str:
        """The end of what it wrote to standard error."""
        size = os.fstat(self._stderr.fileno()).st_size
        return os.pread(self._stderr.fileno(), STDERR_TAIL, max(0, size - STDERR_TAIL)).decode(errors="replace")

    def failure(self) -> ChildFailed:
        """An error that shows how it ended."""
        return ChildFailed(f"{self.name} ended with {self.process.returncode}\n{self.stderr_tail()}".rstrip())


@asynccontextmanager
async def running(name: str, command: Sequence[str]) -> AsyncIterator[Child]:
    """Run a child for the length of the block, whatever ends the block.

    It gets a session of its own, so that Ctrl-C reaches only us and we stop it in order; it ends when its standard
    input closes, so also if we are killed.
    """
    with tempfile.TemporaryFile() as stderr:
        process = await trio.lowlevel.open_process(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        child = Child(name, process, stderr)
        try:
            yield child
        finally:
            with trio.CancelScope(shield=True):
                await child.stop()
        if process.returncode not in {0, -signal.SIGTERM}:
            raise child.failure()


def module(name: str, config: Mapping[str, object]) -> list[str]:
    """Command line of one of our own processes."""
    return [sys.executable, "-m", name, json.dumps(config)]


def leashed(program: Sequence[str]) -> list[str]:
    """Command line of a program that knows nothing of us; its first event is `started`, with its id."""
    return [sys.executable, "-I", "-S", str(LEASH), *program]
