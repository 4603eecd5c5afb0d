"""What is done now and then for all streams at once, so that no stream needs a timer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from xds.edge import collector
from xds.edge.stream import Stream, Tally
from xds.errors import Fault

ROUNDS: Final = 4
"""A write is blocked when it is still the same one after so many rounds; a round is that part of the limit."""


class Upkeep:
    """Ends streams whose clients do not read, and collects garbage in quiet time. Two timers for a whole server."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        streams: Collection[Stream],
        tally: Tally,
        *,
        write_blocked_s: float,
        quiet_s: float = collector.QUIET_S,
    ) -> None:
        self._loop = loop
        self._streams = streams
        self._tally = tally
        self._round_s = write_blocked_s / ROUNDS
        self._write_blocked_s = write_blocked_s
        self._quiet_s = quiet_s
        self._seen = self._settled = self._activity()
        self._timers = [loop.call_later(self._round_s, self._sweep), loop.call_later(quiet_s, self._look)]

    def stop(self) -> None:
        """No more rounds."""
        for timer in self._timers:
            timer.cancel()

    def _sweep(self) -> None:
        for stream in [stream for stream in self._streams if stream.writing]:
            stream.unread += 1
            if stream.unread > ROUNDS:
                stream.end(Fault.UNAVAILABLE, f"the client has not read for {self._write_blocked_s:g} s")
        self._timers[0] = self._loop.call_later(self._round_s, self._sweep)

    def _look(self) -> None:
        now = self._activity()
        if now == self._seen != self._settled:
            collector.settle()
            self._settled = now
        self._seen = now
        self._timers[1] = self._loop.call_later(self._quiet_s, self._look)

    def _activity(self) -> tuple[int, int, int]:
        return self._tally.requests, self._tally.replies, self._tally.opened
