"""The body of `legation up`: the supervisor, the signals, and what `legation status` reads."""

from __future__ import annotations

import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable
from typing import Any

import trio

from legation.prepare import write_state
from legation.programs import programs
from legation.settings import Settings
from legation.supervisor import Supervisor
from xds.errors import LocalError
from xds.logs import event

_log = logging.getLogger(__name__)


async def serve(settings: Settings, wall: Callable[[], float], ready_fd: int | None) -> bool:
    """Until a signal says stop. True if everything ended in time. Raises `LocalError` if the start fails."""
    began = trio.current_time()

    def publish(state: dict[str, Any]) -> None:
        write_state(settings, {"pid": os.getpid(), **state})

    supervisor = Supervisor(programs(settings), wall=wall, publish=publish)
    clean, failure = False, None
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_obey, signals, supervisor)
            nursery.start_soon(_announce, supervisor, settings, began, ready_fd)
            try:
                clean = await supervisor.run()
            except LocalError as error:
                failure = error  # raised below, outside the nursery, which would wrap it in a group
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    event(_log, logging.INFO, "ended")
    return clean


async def _announce(supervisor: Supervisor, settings: Settings, began: float, ready_fd: int | None) -> None:
    await supervisor.wait_ready()
    seconds = round(trio.current_time() - began, 2)
    event(_log, logging.INFO, "ready", seconds=seconds, xds=settings.xds_listen, sds=settings.sds_listen)
    if ready_fd is not None:
        with os.fdopen(ready_fd, "w", encoding="utf-8") as pipe:
            pipe.write(json.dumps({"ready": True, "pid": os.getpid(), **supervisor.state()}) + "\n")


async def _obey(signals: AsyncIterator[int], supervisor: Supervisor) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            supervisor.reload()
        else:
            supervisor.stop()
