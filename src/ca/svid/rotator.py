"""Keeps certificates fresh: one task and one timer for any number of them.

A replacement is in hand, and checked, before the old one goes; while the signer is away the old one stays (identity
72-75). Deadlines are kept on the boot-time clock, which goes on while the machine sleeps; the wall clock is compared
with it at least every few seconds, so that a resume or a step of either clock is noticed (identity 76). What to do is
decided in `Slot`; the loop here only waits and carries out.
"""

from __future__ import annotations

import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable
from typing import Final

import trio

from ca.svid.holder import Holder
from ca.svid.order import Order
from ca.svid.schedule import Life
from ca.svid.slot import NEVER, Listener, Slot
from xds.errors import LegationError
from xds.logs import event

RECHECK_S: Final = 4.0
"""Between two looks at the clocks, when nothing is due."""

CLOCK_STEP_S: Final = 1.0
CONCURRENT_MAX: Final = 8
"""Requests to the signer under way at once; it has one core."""

Clock = Callable[[], float]
Issue = Callable[[Order], Awaitable[Holder]]

log = logging.getLogger(__name__)


class Rotator:
    """The certificates that are wanted, each under a key of the caller's choice."""

    def __init__(self, issue: Issue, *, wall: Clock, boot: Clock) -> None:
        self._issue = issue
        self._wall = wall
        self._boot = boot
        self._offset_s = wall() - boot()
        self._slots: dict[Hashable, Slot] = {}
        self._heap: list[tuple[float, int, Slot]] = []
        self._tie = itertools.count()
        self._under_way = 0
        self._wake = trio.Event()
        self.issued_count = 0
        self.error_counts: Counter[str] = Counter()

    @property
    def slots(self) -> dict[Hashable, Slot]:
        """Every certificate that is wanted, for status; not to be changed."""
        return self._slots

    def now_s(self) -> float:
        """The wall clock that its instants are of."""
        return self._wall()

    def want(self, key: Hashable, order: Order, listener: Listener, life: Life | None = None) -> None:
        """Keep a certificate for the order; a changed order replaces it. `life` is that of one which exists."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = Slot(key, order, listener, life, self._wall())
        elif not slot.reorder(order, self._wall()):
            return
        self._schedule(slot)

    def drop(self, key: Hashable) -> None:
        """Renew no longer. An answer that is still under way is thrown away."""
        if (slot := self._slots.pop(key, None)) is not None:
            slot.dropped = True

    def pause(self, key: Hashable) -> None:
        """Nobody is there to use it: renew when somebody comes, not before. It is kept until it ends."""
        if (slot := self._slots.get(key)) is not None:
            slot.paused = True
            self._schedule(slot)

    def resume(self, key: Hashable) -> None:
        """Somebody is there: renew at once what is over its instant, and in time what is not."""
        if (slot := self._slots.get(key)) is not None and slot.paused:
            slot.paused = False
            self._schedule(slot)

    def force(self, key: Hashable) -> None:
        """Replace it now."""
        if (slot := self._slots.get(key)) is not None:
            slot.attempt_at_s = self._wall()
            self._schedule(slot)

    async def run(self) -> None:
        """Rotate until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                self._wake = trio.Event()
                self._compare_clocks()
                for slot in self._take_due():
                    nursery.start_soon(self._attempt, slot)
                with trio.move_on_after(self._idle_s()):
                    await self._wake.wait()

    async def _attempt(self, slot: Slot) -> None:
        order = slot.order
        try:
            holder = await self._issue(order)
        except LegationError as error:
            self._failed(slot, error)
        else:
            self._succeeded(slot, order, holder)
        finally:
            self._under_way -= 1
            self._wake.set()

    def _succeeded(self, slot: Slot, order: Order, holder: Holder) -> None:
        slot.under_way = False
        if slot.dropped:
            return
        self.issued_count += 1
        slot.took(holder, order, self._wall())
        self._schedule(slot)
        event(log, logging.INFO, "issued", **_fields(slot), serial=holder.serial)
        slot.listener.issued(slot.key, holder)

    def _failed(self, slot: Slot, error: LegationError) -> None:
        slot.under_way = False
        if slot.dropped:
            return
        now_s = self._wall()
        slot.missed(error, now_s)
        self.error_counts[slot.error_code] += 1
        self._schedule(slot)
        level = logging.ERROR if slot.live is None or slot.live.in_danger(now_s) else logging.WARNING
        retry_s = round(slot.attempt_at_s - now_s, 1)
        event(log, level, "not issued", **_fields(slot), error=str(error), retry_s=retry_s)

    def _take_due(self) -> list[Slot]:
        boot_s = self._boot()
        due = []
        while self._heap and self._heap[0][0] <= boot_s:
            at_s, _, slot = heapq.heappop(self._heap)
            if at_s == slot.boot_at_s and not slot.dropped:  # otherwise it was scheduled anew meanwhile
                slot.boot_at_s = NEVER
                due.append(slot)
        return self._admit([slot for slot in due if self._is_attempt(slot)])

    def _is_attempt(self, slot: Slot) -> bool:
        now_s = self._wall()
        ended = slot.end_if_expired(now_s)
        if ended:
            event(log, logging.ERROR, "expired", **_fields(slot))
            slot.listener.expired(slot.key)
        if attempts := slot.attempts_now(now_s, ended=ended):
            return attempts
        self._schedule(slot)
        return False

    def _admit(self, due: list[Slot]) -> list[Slot]:
        """The least life left first, as many as the signer is given at once; the others stay due (identity 57)."""
        due.sort(key=lambda slot: slot.urgency_s)
        room = CONCURRENT_MAX - self._under_way
        for slot in due[room:]:
            self._push(slot, self._boot())
        for slot in due[:room]:
            slot.under_way = True
        self._under_way += len(due[:room])
        return due[:room]

    def _schedule(self, slot: Slot) -> None:
        at_s = slot.next_at_s()
        self._push(slot, NEVER if at_s == NEVER else self._boot() + max(0.0, at_s - self._wall()))
        self._wake.set()

    def _push(self, slot: Slot, boot_at_s: float) -> None:
        slot.boot_at_s = boot_at_s
        if boot_at_s != NEVER:
            heapq.heappush(self._heap, (boot_at_s, next(self._tie), slot))

    def _compare_clocks(self) -> None:
        """After a step of the wall clock deadlines only come nearer: early costs a signature, late an outage."""
        offset_s = self._wall() - self._boot()
        if abs(offset_s - self._offset_s) < CLOCK_STEP_S:
            return
        event(log, logging.WARNING, "the wall clock was set", step_s=round(offset_s - self._offset_s, 1))
        self._offset_s = offset_s
        for slot in self._slots.values():
            was_s = slot.boot_at_s
            self._schedule(slot)
            if was_s < slot.boot_at_s:
                self._push(slot, was_s)

    def _idle_s(self) -> float:
        if not self._heap or self._under_way >= CONCURRENT_MAX:
            return RECHECK_S
        return min(RECHECK_S, max(0.0, self._heap[0][0] - self._boot()))


def _fields(slot: Slot) -> dict[str, object]:
    return {"node": slot.order.node, "spiffe_id": str(slot.order.spiffe_id)}
