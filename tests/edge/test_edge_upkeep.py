"""What is done for all streams at once: waking, sweeping, collecting garbage."""

from __future__ import annotations

import asyncio
import gc
import math

import pytest

from xds.edge import collector
from xds.edge.identity import Peer
from xds.edge.stream import WAKE_BATCH, Tally, wake_all
from xds.edge.upkeep import CERTIFICATE_PAUSE_S, ROUNDS, Upkeep
from xds.errors import Fault
from xds.limits import CERTIFICATE_ROUND_S


class Loop:
    """Timers by hand."""

    def __init__(self) -> None:
        self.timers = []

    def call_later(self, delay, callback):
        timer = Timer(delay, callback)
        self.timers.append(timer)
        return timer

    def fire(self, delay) -> None:
        due = [timer for timer in self.timers if timer.delay == delay and not timer.cancelled]
        self.timers = [timer for timer in self.timers if timer not in due]
        for timer in due:
            timer.callback()


class Timer:
    def __init__(self, delay, callback) -> None:
        self.delay, self.callback, self.cancelled = delay, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Writing:
    def __init__(self, *, writing: bool) -> None:
        self.writing, self.unread, self.ended = writing, 0, None
        self.peer = Peer(None, "a")

    def end(self, fault, message) -> None:
        self.ended = (fault, message)


@pytest.fixture
def thresholds():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_a_write_that_lasts_is_ended_and_another_is_not() -> None:
    loop, blocked, idle = Loop(), Writing(writing=True), Writing(writing=False)
    Upkeep(loop, [blocked, idle], Tally(), wall=lambda: 0.0, write_blocked_s=60.0, quiet_s=1.0)
    for _ in range(ROUNDS):
        loop.fire(60.0 / ROUNDS)
        assert blocked.ended is None
    loop.fire(60.0 / ROUNDS)
    assert blocked.ended == (Fault.UNAVAILABLE, "the client has not read for 60 s")
    assert idle.ended is None


def test_a_writer_that_gets_on_is_not_ended() -> None:
    loop, slow = Loop(), Writing(writing=True)
    Upkeep(loop, [slow], Tally(), wall=lambda: 0.0, write_blocked_s=60.0, quiet_s=1.0)
    for _ in range(5 * ROUNDS):
        loop.fire(60.0 / ROUNDS)
        if slow.unread == ROUNDS:
            slow.unread = 0  # as each new write does
    assert slow.ended is None


def test_a_stream_ends_with_its_certificate() -> None:
    """One timer for all: it comes at the end that is next, and in time where the clock was set."""
    loop, now = Loop(), [1_000.0]
    streams = [Writing(writing=False) for _ in range(3)]
    for stream, ends_s in zip(streams, (1_006.0, 1_100.0, math.inf), strict=True):
        stream.peer = Peer(None, "a", ends_s)
    Upkeep(loop, streams, Tally(), wall=lambda: now[0], write_blocked_s=60.0, quiet_s=10.0)
    now[0] += CERTIFICATE_ROUND_S
    loop.fire(CERTIFICATE_ROUND_S)
    assert [stream.ended for stream in streams] == [None] * 3
    now[0] += 1.0
    loop.fire(1.0)
    fault, message = streams[0].ended
    assert fault is Fault.UNAUTHENTICATED
    assert message == "certificate expired at 1970-01-01T00:16:46Z: renew it, and connect again"
    assert [stream.ended for stream in streams[1:]] == [None] * 2
    now[0] = 1_200.0
    loop.fire(CERTIFICATE_ROUND_S)
    assert [stream.ended is None for stream in streams] == [False, False, True]
    assert loop.timers[-1].delay == CERTIFICATE_ROUND_S


def test_many_ends_make_no_busy_loop() -> None:
    loop, stream = Loop(), Writing(writing=False)
    stream.peer = Peer(None, "a", 0.001)
    Upkeep(loop, [stream], Tally(), wall=lambda: 0.0, write_blocked_s=60.0, quiet_s=10.0)
    loop.fire(CERTIFICATE_ROUND_S)
    assert loop.timers[-1].delay == CERTIFICATE_PAUSE_S


def test_garbage_is_collected_once_in_each_quiet_time(monkeypatch) -> None:
    settled = []
    monkeypatch.setattr(collector, "settle", lambda: settled.append(True))
    loop, tally = Loop(), Tally()
    upkeep = Upkeep(loop, [], tally, wall=lambda: 0.0, write_blocked_s=60.0, quiet_s=10.0)
    loop.fire(10.0)
    assert len(settled) == 0  # nothing has happened since the start
    tally.requests += 1
    loop.fire(10.0)
    assert len(settled) == 0  # it was not quiet
    loop.fire(10.0)
    loop.fire(10.0)
    assert len(settled) == 1
    upkeep.stop()
    assert all(timer.cancelled for timer in loop.timers)


def test_thresholds_follow_the_streams_and_never_fall(thresholds) -> None:
    gc.set_threshold(700, 10, 10)
    collector.scale(0)
    assert gc.get_threshold()[0] == collector.GEN0_MIN
    collector.scale(2_000)
    assert gc.get_threshold()[0] == 25 * 2_000
    collector.scale(10)
    assert gc.get_threshold()[0] == 25 * 2_000


def test_settling_freezes_what_is_left() -> None:
    try:
        collector.settle()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


class Sleeper:
    def __init__(self, woken: list) -> None:
        self.owner = self
        self._woken = woken

    def wake(self) -> None:
        self._woken.append(self)


def test_waking_many_gives_the_loop_a_turn_every_few_hundred() -> None:
    async def main() -> list[int]:
        woken: list[Sleeper] = []
        sleepers = [Sleeper(woken) for _ in range(2 * WAKE_BATCH + 1)]
        counts = []
        wake_all(sleepers)
        while len(woken) < len(sleepers):
            counts.append(len(woken))
            await asyncio.sleep(0)
        assert woken == sleepers
        return counts

    assert asyncio.run(main()) == [WAKE_BATCH, 2 * WAKE_BATCH]


def test_waking_nobody_is_nothing() -> None:
    wake_all([])
