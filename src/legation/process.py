"""One run of one child process: exec, the ready handshake, its end.

Started from the main thread with `subprocess.Popen` and watched through a pidfd, not with `trio.run_process`: that one
forks in a worker thread, and PR_SET_PDEATHSIG fires when the *thread* that started the child ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

import trio

from xds.errors import LocalError

READY_FD: Final = "{ready_fd}"
"""In an argument list: replaced by the number of the pipe on which the child says that it is ready."""
READY_BYTES_MAX: Final = 65_536
PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Program:
    """What to start. The argument list may hold `READY_FD`; without it a program counts as ready at once."""

    name: str
    argv: tuple[str, ...]
    reloads: bool = False
    """It reads its files again on SIGHUP."""

    @property
    def announces(self) -> bool:
        """True if it says when it is ready."""
        return READY_FD in self.argv


class ProcessFailedError(LocalError):
    """A child ended before it was ready. Its own message has gone to standard error; `reason` is what we know of it."""

    def __init__(self, name: str, code: int, reason: str = "its own message stands above") -> None:
        super().__init__(f"{name} did not start ({describe_exit(code)}); {reason}")
        self.name = name
        self.code = code


class Child:
    """A running program. `spawn` makes it; `wait` reaps it."""

    def __init__(self, program: Program, popen: subprocess.Popen[bytes], ready_pipe: int | None) -> None:
        self.program = program
        self._popen = popen
        self._ready_pipe = ready_pipe
        self._pidfd = os.pidfd_open(popen.pid)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    async def wait(self) -> int:
        """Until it has ended; its exit code, negative for a signal."""
        while (code := self._popen.poll()) is None:
            await trio.lowlevel.wait_readable(self._pidfd)
        return code

    async def wait_ready(self) -> Mapping[str, Any]:
        """Until it says that it is ready; what it said. Raises `ProcessFailedError` if it ends before."""
        if self._ready_pipe is None:
            return {}
        pipe, self._ready_pipe = self._ready_pipe, None
        async with trio.lowlevel.FdStream(pipe) as stream:
            line = await _read_line(stream)
        if not line:
            raise ProcessFailedError(self.program.name, await self.wait())
        return parse_ready(self.program.name, line)

    def send(self, number: int) -> None:
        """Send a signal; nothing happens if it has ended."""
        if self._popen.poll() is None:
            self._popen.send_signal(number)

    def kill(self) -> None:
        """End it now."""
        self.send(signal.SIGKILL)

    def close(self) -> None:
        """Give the descriptors back. After `wait`."""
        os.close(self._pidfd)
        if self._ready_pipe is not None:
            os.close(self._ready_pipe)


async def _read_line(stream: trio.lowlevel.FdStream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < READY_BYTES_MAX:
        chunk = await stream.receive_some(4096)
        if not chunk:
            return b""
        line += chunk
    return line


def parse_ready(name: str, line: bytes) -> Mapping[str, Any]:
    """The ready line: one JSON object. Raises `LocalError`."""
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("ready") is not True:
        raise LocalError(f"{name} said something else than that it is ready: {line[:200]!r}")
    return answer


def spawn(program: Program, *, stderr: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> Child:
    """Start a program (exec, own process group, dies with us). Call it from the main thread. Raises `LocalError`."""
    read_end, write_end = os.pipe() if program.announces else (None, None)
    argv = [arg if arg != READY_FD else str(write_end) for arg in program.argv]
    try:
        popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=() if write_end is None else (write_end,),
            env={"GRPC_VERBOSITY": "ERROR"} | os.environ,  # else gRPC writes its own lines between the log's
            process_group=0,  # Ctrl-C reaches the supervisor only, which then drains the others in order
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 (one prctl; this process starts no threads)
        )
    except OSError as error:
        if read_end is not None:
            os.close(read_end)
        raise LocalError(f"{program.name} cannot be started: {argv[0]}: {error.strerror or error}") from None
    finally:
        if write_end is not None:
            os.close(write_end)
    return Child(program, popen, read_end)


class _die_with:  # noqa: N801 (used as a function)
    """Runs in the child between fork and exec: the kernel kills it when the supervisor ends, however that ends."""

    def __init__(self, parent: int) -> None:
        self._parent = parent
        self._prctl = ctypes.CDLL(None).prctl  # looked up before the fork

    def __call__(self) -> None:
        self._prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:
            os._exit(1)


def describe_exit(code: int) -> str:
    """An exit code for people."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Argument list that runs one of our modules: `-P`, so that the current directory shadows nothing."""
    return (sys.executable, "-P", "-m", module, *arguments)
