"""Whether this process serves, and if not, why: asked by /readyz, by every new stream and by the ready handshake."""

from __future__ import annotations

import trio


class Readiness:
    """Loaded, listening, not draining."""

    def __init__(self) -> None:
        self._loaded = False
        self._listening = False
        self._draining = False
        self._why_not_loaded = "the resources are being read for the first time"
        self._why_not_listening = "the listener is being opened"
        self._changed = trio.Event()

    @property
    def draining(self) -> bool:
        """Whether the end was asked for."""
        return self._draining

    def loaded(self) -> None:
        """A good state is live; it stays live whatever comes later."""
        self._loaded = True
        self._announce()

    def not_loaded(self, why: str) -> None:
        """The first reading failed."""
        self._why_not_loaded = why

    def listening(self) -> None:
        """Every listener is open."""
        self._listening = True
        self._announce()

    def not_listening(self, why: str) -> None:
        """What the listener waits for."""
        self._why_not_listening = why

    def drain(self) -> None:
        """Refuse new streams from here on."""
        self._draining = True
        self._announce()

    def refusal(self) -> str | None:
        """Why a new stream is refused; None if it is welcome."""
        if self._draining:
            return "draining: connect again"
        return None if self._loaded else "not ready: the server has no configuration yet; connect again"

    def reason(self) -> str | None:
        """Why the process is not ready, in full: for operators, not for clients. None if it is."""
        if self._draining:
            return "draining: this process is ending"
        if not self._loaded:
            return f"not ready: {self._why_not_loaded}"
        return None if self._listening else f"not ready: {self._why_not_listening}"

    async def wait_ready(self) -> None:
        """Return once the process serves."""
        while self.reason() is not None:
            await self._changed.wait()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
