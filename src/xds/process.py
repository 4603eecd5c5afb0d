"""What every process of the product does alike: common arguments, signals, the ready line, exit codes.

The standard library and trio, and nothing that drags in more: the process with the CA keys uses it too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Final

import trio

from xds import logs
from xds.errors import ConfigError, LegationError
from xds.names import InvalidSpiffeId, check_trust_domain

FAILED: Final = 1
USAGE: Final = 2
"""Usage, or what the operator wrote."""

_ENDING: Final[tuple[int, ...]] = (signal.SIGTERM, signal.SIGINT)

log = logging.getLogger(__name__)


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
    # What the receiver puts back when it is left: from then on the kernel itself ends us, whatever holds us up.
    for number in _ENDING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with trio.open_signal_receiver(*_ENDING, signal.SIGHUP) as received:
        task_status.started()
        async for number in received:
            if number in _ENDING:
                break
            reload()
    shutdown.set()


def ready_line(pid: int, **where: str | None) -> bytes:
    """What the parent reads: that this process serves, and where."""
    return json.dumps({"ready": True, **where, "pid": pid}).encode() + b"\n"


def announce(descriptor: int | None, line: bytes) -> None:
    """Tell the parent, if it wants to know. One that is gone does not matter."""
    if descriptor is None:
        return
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, line)
    os.close(descriptor)


def explain(error: BaseException, expected: tuple[type[BaseException], ...] = (LegationError,)) -> int:
    """Log what went wrong; the exit code for it. What is not expected is our mistake, and comes with a traceback."""
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, expected) for leaf in leaves):
        log.critical("failed unexpectedly", exc_info=error)
        return FAILED
    for leaf in leaves:
        logs.event(log, logging.ERROR, "failed", error=leaf)
    return USAGE if all(isinstance(leaf, ConfigError) for leaf in leaves) else FAILED


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
