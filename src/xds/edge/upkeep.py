"""What is done now and then for all streams at once, so that no stream needs a timer of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from xds import limits
from xds.edge import collector
from xds.edge.identity import expired
from xds.edge.stream import Stream, Tally
from xds.errors import Fault

ROUNDS: Final = 4
"""A write is blocked when it is still the same one after so many rounds; a round is that part of the limit."""

CERTIFICATE_PAUSE_S: Final = 0.5
"""Between two looks at certificates at least, however many end."""


class Upkeep:
    """Ends streams whose clients do not read or have no certificate any more, and collects garbage in quiet time.

    Three timers for a whole server.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        streams: Collection[Stream],
        tally: Tally,
        *,
        wall: Callable[[], float],
        write_blocked_s: float,
        quiet_s: float = collector.QUIET_S,
    ) -> None:
        self._loop = loop
        self._streams = streams
        self._tally = tally
        self._wall = wall
        self._round_s = write_blocked_s / ROUNDS
        self._write_blocked_s = write_blocked_s
        self._quiet_s = quiet_s
        self._seen = self._settled = self._activity()
        self._timers = [
            loop.call_later(self._round_s, self._sweep),
            loop.call_later(quiet_s, self._look),
            loop.call_later(limits.CERTIFICATE_ROUND_S, self._expire),
        ]

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

    def _expire(self) -> None:
        now_s = self._wall()
        next_s = now_s + limits.CERTIFICATE_ROUND_S
        for stream in list(self._streams):
            ends_s = stream.peer.ends_s
            if ends_s <= now_s:
                stream.end(Fault.UNAUTHENTICATED, expired(ends_s))
            elif ends_s < next_s:
                next_s = ends_s
        pause_s = max(CERTIFICATE_PAUSE_S, next_s - now_s)
        self._timers[2] = self._loop.call_later(pause_s, self._expire)

    def _look(self) -> None:
        now = self._activity()
        if now == self._seen != self._settled:
            collector.settle()
            self._settled = now
        self._seen = now
        self._timers[1] = self._loop.call_later(self._quiet_s, self._look)

    def _activity(self) -> tuple[int, int, int]:
        return self._tally.requests, self._tally.replies, self._tally.opened
