"""Signals: the first SIGTERM or SIGINT drains, a second one kills, SIGHUP reads the files again."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Final

import trio

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)


async def follow_signals(
    shutdown: trio.Event, reload: Callable[[], None], *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve signals until the end is asked for."""
    # What the receiver puts back when it is left: from then on the kernel itself ends us, whatever holds us up.
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with trio.open_signal_receiver(*_ENDING, signal.SIGHUP) as received:
        task_status.started()
        async for number in received:
            if number in _ENDING:
                break
            reload()
    shutdown.set()
