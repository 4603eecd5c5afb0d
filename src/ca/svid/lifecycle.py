"""What the processes with leaf keys have in common: signals, the ready line, exit codes."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Final

import trio

from ca.errors import ConfigError, LegationError, LocalError
from xds import logs
from xds.names import InvalidSpiffeId, check_trust_domain

_ENDING: Final[tuple[int, ...]] = (signal.SIGTERM, signal.SIGINT)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of every process."""
    parser.add_argument("--trust-domain", required=True, help="for instance legation.local")
    parser.add_argument("--log-level", choices=logs.LEVELS, default="info")
    parser.add_argument("--log-format", choices=logs.FORMATS, default="text")
    parser.add_argument("--ready-fd", type=int, help="descriptor on which to say that the process serves")


def check_common_arguments(options: argparse.Namespace) -> None:
    """Raise `ConfigError` for what argparse cannot see."""
    if sys.platform != "linux":
        raise ConfigError("Legation runs on Linux only")
    try:
        check_trust_domain(options.trust_domain)
    except InvalidSpiffeId as error:
        raise ConfigError(f"--trust-domain: {error}") from None


async def follow_signals(
    shutdown: trio.Event, reload: Callable[[], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """SIGHUP reads again, the first SIGTERM or SIGINT asks for the end, and a second one kills."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)  # what the receiver puts back when it is left
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with trio.open_signal_receiver(*_ENDING, signal.SIGHUP) as received:
        task_status.started()
        async for number in received:
            if number in _ENDING:
                break
            reload()
    shutdown.set()


def announce(descriptor: int | None, **where: str | None) -> None:
    """Tell the parent that this process serves: one JSON line; a parent that is gone does not matter."""
    if descriptor is None:
        return
    line = json.dumps({"ready": True, **where, "pid": os.getpid()}) + "\n"
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, line.encode())
    os.close(descriptor)


def boot_time_s() -> float:
    """The clock that goes on while the machine sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def explain(process: str, error: BaseException) -> int:
    """Say what went wrong on standard error; the exit code for it: 2 for what the operator wrote, 1 otherwise."""
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, LegationError) for leaf in leaves):
        traceback.print_exception(error)
        return 1
    for leaf in leaves:
        sys.stderr.write(f"{process}: {leaf}\n")
    return 1 if any(isinstance(leaf, LocalError) for leaf in leaves) else 2


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
