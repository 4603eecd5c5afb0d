"""Keeps the entries that count, and the last good state while a file is bad.

All files are one state: an entry that is refused leaves everything as it was, because dropping the rest would take
certificates away from nodes that nobody wanted to touch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

from ca.identity.entries import Entry
from ca.server.entry_files import printable, read_directory
from xds.edge.watch import changes
from xds.errors import ConfigError
from xds.limits import DEBOUNCE_S
from xds.logs import event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files said when they were read."""

    entries: tuple[Entry, ...] = ()
    error: str | None = None
    """Why these are not to be used."""
    news: bool = True
    """They differ from those that counted then."""


class EntryBook:
    """The entries that count now, and what is wrong with the files. `on_change` is called with each new good state."""

    def __init__(
        self,
        directory: Path,
        trust_domain: str,
        on_change: Callable[[tuple[Entry, ...]], None],
        *,
        ttl_max_s: int | None = None,
    ) -> None:
        """`ttl_max_s` is the longest that the signer issues; an entry that asks for more is refused."""
        self.directory = directory
        self.entries: tuple[Entry, ...] = ()
        self.error: str | None = None
        self.loaded = False
        """True once there was a good state."""
        self._trust_domain = trust_domain
        self._ttl_max_s = ttl_max_s
        self._on_change = on_change
        self._send, self._receive = trio.open_memory_channel[bool](1)

    @property
    def path(self) -> str:
        """Where the files are, for people."""
        return printable(str(self.directory))

    async def load(self) -> None:
        """Read all files, on a thread: streams go on meanwhile. A bad one changes nothing but `error`."""
        self.take(await trio.to_thread.run_sync(self.read, abandon_on_cancel=True))

    def read(self) -> Reading:
        """What the files say now; changes nothing."""
        known = self.entries
        try:
            entries = read_directory(self.directory, self._trust_domain, self._ttl_max_s)
        except ConfigError as error:
            return Reading(error=str(error))
        return Reading(entries, news=entries != known)

    def take(self, reading: Reading) -> None:
        """Let it count, if it is good."""
        if reading.error is not None:
            self._refuse(reading.error)
        else:
            self._accept(reading)

    def reload(self) -> None:
        """Read again soon, changed or not."""
        with suppress(trio.WouldBlock):  # then it is about to be read anyway
            self._send.send_nowait(True)

    async def watch(self) -> None:
        """Read again whenever the files changed, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, self.directory, self._send)
            while True:
                await _quiet(self._receive)
                await self.load()

    def _refuse(self, error: str) -> None:
        if error != self.error:
            event(log, logging.ERROR, "entries refused, the last good ones stay", error=error)
        self.error = error

    def _accept(self, reading: Reading) -> None:
        news = reading.news or not self.loaded
        recovered = self.error is not None
        self.error = None
        self.loaded = True
        if news:
            self.entries = reading.entries
            self._on_change(reading.entries)
        if news or recovered:
            event(log, logging.INFO, "entries loaded", entries=len(reading.entries))


async def _listen(directory: Path, send: trio.MemorySendChannel[bool]) -> None:
    async for change in changes([directory]):
        try:
            send.send_nowait(change.immediate)
        except trio.WouldBlock:
            await send.send(change.immediate)


async def _quiet(receive: trio.MemoryReceiveChannel[bool]) -> None:
    """Return when something changed and nothing more did for a moment; at once after the rename of a symlink."""
    immediate = await receive.receive()
    while not immediate:
        with trio.move_on_after(DEBOUNCE_S) as pause:
            immediate = await receive.receive()
        if pause.cancelled_caught:
            return
