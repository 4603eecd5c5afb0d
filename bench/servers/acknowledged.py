"""Tells the harness when every stream has acknowledged what was published. Only for few streams: it looks at each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import trio

from bench.core.clock import now_ns
from bench.core.corpus import MARK, ROUTE
from bench.servers.commands import say

LOOK_S = 0.001
"""The resolution of what is told."""


async def tell_acknowledged(sessions: Callable[[], Sequence[Any]]) -> None:
    """Say `acknowledged` once for each change of the probe's route, as soon as no stream lags behind."""
    told = 0
    while True:
        await trio.sleep(LOOK_S)
        streams = sessions()
        sequence = _published(streams)
        if sequence > told and all(_acknowledged(session) for session in streams):
            told = sequence
            say(event="acknowledged", sequence=sequence, at=now_ns(), streams=len(streams))


def _published(streams: Sequence[Any]) -> int:
    for session in streams:
        for record in session.view.records(ROUTE).values():
            if found := MARK.search(record.body):
                return int(found[1])
    return 0


def _acknowledged(session: Any) -> bool:
    current = session.view.version(ROUTE)
    return any(
        status.type_url == ROUTE and status.acked_version == current and not status.in_flight
        for status in session.status()
    )
