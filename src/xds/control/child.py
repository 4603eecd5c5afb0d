"""Runs `python -m xds.resources.evaluate FILE`: people's Python is never imported into this process."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import trio

from xds import limits
from xds.config.problems import FileError
from xds.config.python_files import last_words
from xds.errors import LocalError
from xds.logs import event

log = logging.getLogger(__name__)

STOP_S: Final = 1.0
"""So long a child has, once nobody reads what it prints, to end what it has started (20 ms are enough)."""

DRAIN_S: Final = 1.0
"""So long its pipes are read on after its end; whoever still holds them has nothing to say."""

ENVIRONMENT: Final = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH")
"""What Python may need to start. Everything else of ours, tokens and passwords among it, is not people's."""

UNCONFINED: Final = "legation: "
"""How a child begins that could not confine itself."""

STDERR_BYTES_MAX: Final = 64 * 1024
"""Of what a file prints there: enough for a traceback, and it goes into a log line."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a child left."""

    exit_code: int
    stdout: bytes
    stderr: str


def command(file: Path) -> list[str]:
    """The child's command line.

    `-P` keeps the directory that the server was started in out of its import path; `-B` keeps it from writing compiled
    modules into the directory that is being watched.
    """
    seconds = str(math.ceil(limits.PYTHON_FILE_TIMEOUT_S))
    return [sys.executable, "-P", "-B", "-m", "xds.resources.evaluate", str(file.absolute()), seconds]


async def run(arguments: Sequence[str], name: str, timeout_s: float = limits.PYTHON_FILE_TIMEOUT_S) -> Ended:
    """Run a child to its end. Raises `FileError` if it cannot be started, takes too long or prints too much."""
    with trio.move_on_after(timeout_s):
        async with _started(arguments, name) as process:
            ended = await _collect(process, name)
        if ended.stderr.startswith(UNCONFINED):
            event(log, logging.DEBUG, "this kernel has no Landlock: a resource file can read what we can", file=name)
        return ended
    raise FileError.of(name, f"had not ended after {timeout_s:g} s and was stopped")


def output_of(ended: Ended, name: str) -> bytes:
    """The resources that a child printed. Raises `FileError` if it did not come to its end."""
    if ended.exit_code == 0:
        return ended.stdout
    raise FileError.of(name, _how(ended.exit_code) + last_words(ended.stderr))


def _how(exit_code: int) -> str:
    if exit_code == -signal.SIGXCPU:
        return "used up its time"
    return f"was stopped by signal {-exit_code}" if exit_code < 0 else f"ended with code {exit_code}"


@asynccontextmanager
async def _started(arguments: Sequence[str], name: str) -> AsyncIterator[trio.Process]:
    """A child with a process group of its own; it has ended when this is left."""
    try:
        process = await trio.lowlevel.open_process(
            list(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd="/",
            env={key: os.environ[key] for key in ENVIRONMENT if key in os.environ},
        )
    except OSError as error:
        raise FileError.of(name, f"cannot be evaluated: no process could be started ({error.strerror})") from error
    try:
        yield process
    finally:
        # Whatever the file started would outlive us: the child ends it as soon as nobody reads its pipe.
        with trio.CancelScope(shield=True):
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    await pipe.aclose()
            with trio.move_on_after(STOP_S):
                await process.wait()
            if process.returncode is None:
                _kill_group(process.pid)
            await process.wait()


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def _collect(process: trio.Process, name: str) -> Ended:
    output, errors = bytearray(), bytearray()
    if process.stdout is None or process.stderr is None:
        raise LocalError("a child was started without pipes")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_drain, process.stderr, errors, STDERR_BYTES_MAX, strict=False))
            nursery.start_soon(partial(_drain, process.stdout, output, limits.CONFIG_FILE_BYTES_MAX, strict=True))
            exit_code = await process.wait()
            _kill_group(process.pid)  # a grandchild that holds the pipes must not hold us
            nursery.cancel_scope.deadline = trio.current_time() + DRAIN_S
    except* _TooMuch as group:
        raise FileError.of(name, f"has more than {limits.CONFIG_FILE_BYTES_MAX} bytes of resources") from group
    return Ended(exit_code, bytes(output), errors.decode("utf-8", "replace"))


class _TooMuch(Exception):  # noqa: N818 - a signal between two functions
    """The child does not stop printing."""


async def _drain(pipe: trio.abc.ReceiveStream, into: bytearray, bytes_max: int, *, strict: bool) -> None:
    async for chunk in pipe:
        if strict and len(into) + len(chunk) > bytes_max:
            raise _TooMuch
        into += chunk[: max(0, bytes_max - len(into))]
