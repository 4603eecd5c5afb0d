"""One certificate that is kept fresh: when something is to be done about it, and what. No clock of its own."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Final, Protocol

from ca.svid.holder import Holder
from ca.svid.order import Order
from ca.svid.schedule import STORM_SHARE, Life, next_window
from xds.errors import LegationError

NEVER: Final = math.inf


class Listener(Protocol):
    """Who is told; both are called synchronously, on the rotator's task."""

    def issued(self, key: Hashable, holder: Holder) -> None:
        """There is a new certificate under the key."""

    def expired(self, key: Hashable) -> None:
        """The certificate under the key has ended without a replacement."""


class Slot:
    """What is wanted, what there is, and the next instant. Instants are wall-clock seconds but for `boot_at_s`."""

    __slots__ = (
        "attempt_at_s",
        "attempts",
        "boot_at_s",
        "dropped",
        "error",
        "error_code",
        "issued_count",
        "key",
        "last_success_s",
        "life",
        "listener",
        "live",
        "order",
        "paused",
        "truncated",
        "under_way",
        "window_end_s",
    )

    def __init__(self, key: Hashable, order: Order, listener: Listener, life: Life | None, now_s: float) -> None:
        self.key = key
        self.order = order
        self.listener = listener
        self.live: Life | None = life  # of the certificate that serves; None when there is none or it has ended
        self.life: Life | None = life  # of the last one, ended or not
        self.attempt_at_s = life.rotate_at_s if life else now_s
        self.boot_at_s = NEVER
        self.window_end_s = now_s
        self.attempts = 0
        self.issued_count = 0
        self.last_success_s: float | None = None
        self.error = ""
        self.error_code = ""
        self.truncated = False
        self.paused = False
        self.dropped = False
        self.under_way = False

    @property
    def urgency_s(self) -> float:
        """Less is more urgent: who has none first, then by the end of what there is."""
        return self.live.not_after_s if self.live else -math.inf

    def next_at_s(self) -> float:
        """When to look again: the next attempt or the end of the certificate, whichever comes first."""
        end_s = self.live.not_after_s if self.live else NEVER
        return end_s if self.paused or self.under_way else min(self.attempt_at_s, end_s)

    def reorder(self, order: Order, now_s: float) -> bool:
        """Take a changed order. It replaces the certificate soon, but a flapping entry makes no storm (identity 79)."""
        if order == self.order:
            return False
        self.order = order
        if self.live is not None:
            self.attempt_at_s = min(self.attempt_at_s, max(now_s, self.live.changeable_at_s))
        else:
            self.attempt_at_s = now_s
        return True

    def attempts_now(self, now_s: float, *, ended: bool) -> bool:
        """Its deadline has come by one of the clocks: is it an attempt's? After an end the wall clock decides."""
        if self.paused or self.under_way or self.dropped:
            return False
        return not ended or now_s >= self.attempt_at_s

    def end_if_expired(self, now_s: float) -> bool:
        """Drop a certificate that has ended; it is tried for again for ever (identity 75)."""
        if self.live is None or not self.live.expired(now_s):
            return False
        self.live = None
        return True

    def took(self, holder: Holder, order: Order, now_s: float) -> None:
        """The order was carried out. Where the wish changed meanwhile, the next one follows."""
        self.live = self.life = holder.life
        self.truncated = holder.truncated
        self.issued_count += 1
        self.last_success_s = now_s
        self.attempts = 0
        self.error = self.error_code = ""
        self.window_end_s = now_s
        wished_s = holder.life.rotate_at_s if order == self.order else holder.life.changeable_at_s
        soonest_s = (
            now_s + holder.life.length_s * STORM_SHARE
        )  # a life that is over its instant already makes no hot loop
        self.attempt_at_s = max(wished_s, soonest_s)

    def missed(self, error: LegationError, now_s: float) -> None:
        """An attempt failed: one more in the next window."""
        self.error = str(error)
        self.error_code = str(getattr(error, "code", "other"))
        self.attempts += 1
        seed = f"{self.key!r} {self.attempts}".encode()
        window = next_window(now_s, self.window_end_s, self.life, seed)
        self.window_end_s = window.end_s
        self.attempt_at_s = window.attempt_at_s
