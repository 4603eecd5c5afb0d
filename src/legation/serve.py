"""The body of `legation up`: the supervisor, the signals, and what `legation status` reads."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import trio

from legation.prepare import write_state
from legation.process import ProcessFailedError
from legation.programs import programs
from legation.settings import Settings, split_address
from legation.supervisor import Supervisor
from xds.errors import LocalError
from xds.logs import event

LISTENS: Final = {"xds": ("xds.listen", "xds.plaintext", "http.xds"), "ca": ("sds.listen", "http.ca")}
"""Which settings say on what a process listens."""

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
        raise explained(failure, settings)
    event(_log, logging.INFO, "ended")
    return clean


def explained(failure: LocalError, settings: Settings) -> LocalError:
    """The same failure, with the setting to change where an address cannot be used: its process has given it back."""
    if not isinstance(failure, ProcessFailedError):
        return failure
    for name in LISTENS.get(failure.name, ()):
        address = getattr(settings, name.replace(".", "_"))
        if address is not None and (trouble := _cannot_bind(address)):
            reason = f"it cannot listen on {address}: {trouble}. Set `{name}` in legation.yaml"
            return ProcessFailedError(failure.name, failure.code, reason)
    return failure


def _cannot_bind(address: str) -> str:
    """Why nobody can listen there now; empty if one can."""
    host, port = split_address(address)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(where)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return ""


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
