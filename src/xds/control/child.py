"""Runs `python -m xds.resources.evaluate FILE`: people's Python is never imported into this process."""

from __future__ import annotations

import contextlib
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
from xds.names import shown

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
    return [sys.executable, "-P", "-B", "-m", "xds.resources.evaluate", str(file)]


async def run(arguments: Sequence[str], name: str, timeout_s: float = limits.PYTHON_FILE_TIMEOUT_S) -> Ended:
    """Run a child to its end. Raises `FileError` if it takes too long or prints too much."""
    with trio.move_on_after(timeout_s):
        async with _started(arguments) as process:
            return await _collect(process, name)
    raise FileError.of(name, f"had not ended after {timeout_s:g} s and was stopped")


def output_of(ended: Ended, name: str) -> bytes:
    """The resources that a child printed. Raises `FileError` if it did not come to its end."""
    if ended.exit_code == 0:
        return ended.stdout
    how = f"was stopped by signal {-ended.exit_code}" if ended.exit_code < 0 else f"ended with code {ended.exit_code}"
    last = ended.stderr.strip().rpartition("\n")[2]
    raise FileError.of(name, f"{how}: {shown(last)}" if last else how)


@asynccontextmanager
async def _started(arguments: Sequence[str]) -> AsyncIterator[trio.Process]:
    """A child with a process group of its own; it has ended when this is left."""
    process = await trio.lowlevel.open_process(
        list(arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        # Whatever the file started dies with it, or it would hold the pipes and outlive us.
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                _kill_group(process.pid)
            await process.wait()
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    await pipe.aclose()


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def _collect(process: trio.Process, name: str) -> Ended:
    output, errors = bytearray(), bytearray()
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both are pipes")
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(_drain, process.stderr, errors, STDERR_BYTES_MAX, strict=False))
            nursery.start_soon(partial(_drain, process.stdout, output, limits.CONFIG_FILE_BYTES_MAX, strict=True))
            exit_code = await process.wait()
            _kill_group(process.pid)  # a grandchild that holds the pipes must not hold us
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
