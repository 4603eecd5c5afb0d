"""Rotation in virtual time, with a real authority (identity 52, 53, 57, 71-76, 79)."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
import trio
from fakes.ca_signer import World, run, workload

from ca.svid.errors import SignerRefusedError
from ca.svid.rotator import CONCURRENT_MAX


class Log:
    """A listener that writes down what it is told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.issued_at: list[tuple[float, object]] = []
        self.expired_at: list[tuple[float, object]] = []
        self.holders: list = []

    def issued(self, key, holder) -> None:
        self.issued_at.append((trio.current_time(), key))
        self.holders.append(holder)

    def expired(self, key) -> None:
        self.expired_at.append((trio.current_time(), key))


def play(signer, story) -> None:
    """Run a story with the rotator at work."""

    async def main():
        world = World(signer)
        log = Log(world)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.rotator.run)
            await story(world, log)
            nursery.cancel_scope.cancel()

    run(main)


def test_a_certificate_is_made_at_once_and_replaced_at_its_instant_for_ever(signer):
    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=20), log)
        await trio.sleep(600)
        times = [at for at, _ in log.issued_at]
        assert times[0] < 0.1
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert len(times) > 40
        assert min(gaps) > 9  # whole seconds are all that a certificate can say
        assert max(gaps) < 15.1
        assert log.expired_at == []

    play(signer, story)


def test_each_instant_is_the_drawn_one_of_the_actual_certificate(signer):
    """Identity 53: the signer may give less than was asked for, and then that counts."""

    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=0), log)  # the signer's default, one hour
        await trio.sleep(10_000)
        for (at, _), before in zip(log.issued_at[1:], log.holders, strict=False):
            assert at == pytest.approx(before.life.rotate_at_s - world.clocks.begin_s, abs=0.01)

    play(signer, story)


def test_every_rotation_makes_a_new_key(signer):
    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=20), log)
        await trio.sleep(200)
        assert len({holder.key_pem() for holder in log.holders}) == len(log.holders) > 10

    play(signer, story)


def test_while_the_signer_is_away_the_old_one_stays_and_attempts_are_spread(signer):
    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=100), log)
        await trio.sleep(1)
        world.client.away = True
        await trio.sleep(98)
        slot = world.rotator.slots["a"]
        assert slot.live is log.holders[0].life
        assert log.expired_at == []
        assert slot.error == "nobody is there"
        assert 3 <= len(world.client.asked) - 1 <= 12
        world.client.away = False
        await trio.sleep(12)
        assert len(log.issued_at) == 2
        assert slot.error == ""

    play(signer, story)


def test_an_outage_longer_than_the_life_ends_without_an_operator(signer):
    """Identity 75: three hours away with a certificate of one hour."""

    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=3600), log)
        await trio.sleep(1)
        world.client.away = True
        await trio.sleep(3 * 3600)
        assert [key for _, key in log.expired_at] == ["a"]
        assert log.expired_at[0][0] == pytest.approx(3600, abs=1.1)
        world.client.away = False
        await trio.sleep(130)
        assert len(log.issued_at) == 2

    play(signer, story)


def test_who_has_nothing_yet_is_tried_again_soon(signer):
    """Envoy waits two seconds for a secret before it opens its ports."""

    async def story(world, log):
        world.client.away = True
        world.rotator.want("a", workload(), log)
        await trio.sleep(5)
        world.client.away = False
        await trio.sleep(1.01)
        assert len(log.issued_at) == 1
        assert len(world.client.asked) < 30

    play(signer, story)


def test_a_refusal_is_told_and_tried_again(signer):
    async def story(world, log):
        world.client.refuse = SignerRefusedError("reserved_path", "not that one")
        world.rotator.want("a", workload(), log)
        await trio.sleep(1)
        slot = world.rotator.slots["a"]
        assert (slot.error_code, slot.error) == ("reserved_path", "not that one")
        assert world.rotator.error_counts["reserved_path"] >= 1

    play(signer, story)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda signed: signed.chain_der.__setitem__(0, b"garbage"), "unfit"),
        (lambda signed: signed.ClearField("chain_der"), "unfit"),
        (lambda signed: signed.chain_der.pop(1), "other"),
    ],
)
def test_a_replacement_that_does_not_fit_never_replaces(signer, fault, reason):
    """Identity 72."""

    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=20), log)
        await trio.sleep(1)
        world.client.tamper = fault
        await trio.sleep(18)
        slot = world.rotator.slots["a"]
        assert len(log.issued_at) == 1
        assert slot.live is log.holders[0].life
        assert slot.error_code == reason

    play(signer, story)


def test_the_wall_clock_set_forward_renews_within_seconds(signer):
    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=3600), log)
        await trio.sleep(1)
        world.clocks.stepped_s = 3000
        await trio.sleep(5)
        assert len(log.issued_at) == 2

    play(signer, story)


def test_the_wall_clock_set_back_delays_nothing(signer):
    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=3600), log)
        await trio.sleep(1)
        due_s = log.holders[0].life.rotate_at_s - world.clocks.begin_s
        world.clocks.stepped_s = -30
        await trio.sleep(due_s + 1)
        assert len(log.issued_at) == 2
        assert log.issued_at[1][0] == pytest.approx(due_s, abs=0.01)

    play(signer, story)


def test_a_resume_from_sleep_renews_within_seconds(signer):
    """Trio's clock stands still while the machine sleeps; the boot-time clock does not."""

    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=3600), log)
        await trio.sleep(1)
        world.clocks.slept_s = 3000
        await trio.sleep(5)
        assert len(log.issued_at) == 2

    play(signer, story)


def test_the_signer_gets_a_few_at_once_and_those_with_least_life_first(signer):
    async def story(world, log):
        world.client.delay_s = 0.01
        for number in range(40):
            world.rotator.want(number, workload(f"/w{number}", ttl_s=1000 + 2 * number), log)
        await trio.sleep(1)
        assert len(log.issued_at) == 40
        assert world.client.at_once_max == CONCURRENT_MAX
        del log.issued_at[:]
        for number in reversed(range(40)):
            world.rotator.force(number)
        world.rotator.want("new", workload("/new"), log)
        await trio.sleep(1)
        order = [key for _, key in log.issued_at]
        assert set(order[:CONCURRENT_MAX]) == {"new", *range(CONCURRENT_MAX - 1)}
        assert all(
            place - CONCURRENT_MAX <= number <= place + CONCURRENT_MAX for place, number in enumerate(order[8:], 8)
        )

    play(signer, story)


def test_a_changed_order_replaces_soon_but_a_flapping_one_makes_no_storm(signer):
    """Identity 79."""

    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=100), log)
        await trio.sleep(20)
        world.rotator.want("a", workload(ttl_s=100, dns=("a.example",)), log)
        await trio.sleep(0.1)
        assert len(log.issued_at) == 2
        for number in range(20):
            world.rotator.want("a", workload(ttl_s=100, dns=(f"b{number}.example",)), log)
            await trio.sleep(0.1)
        assert len(log.issued_at) == 2
        await trio.sleep(5)
        assert len(log.issued_at) == 3
        world.rotator.want("a", workload(ttl_s=100, dns=("b19.example",)), log)
        await trio.sleep(5)
        assert len(log.issued_at) == 3

    play(signer, story)


def test_an_order_that_changes_while_it_is_carried_out_is_carried_out_too(signer):
    async def story(world, log):
        world.client.delay_s = 1
        world.rotator.want("a", workload(dns=("a.example",)), log)
        await trio.sleep(0.5)
        world.rotator.want("a", workload(dns=("b.example",)), log)
        await trio.sleep(8)
        asked = [fields["dns_names"] for _, _, fields in world.client.asked]
        assert asked == [("a.example",), ("b.example",)]

    play(signer, story)


def test_what_is_dropped_while_it_is_under_way_is_thrown_away(signer):
    async def story(world, log):
        world.client.delay_s = 1
        world.rotator.want("a", workload(), log)
        await trio.sleep(0.5)
        world.rotator.drop("a")
        await trio.sleep(1000)
        assert log.issued_at == []
        assert len(world.client.asked) == 1

    play(signer, story)


def test_paused_nothing_is_renewed_it_ends_in_time_and_a_resume_makes_up_for_it(signer):
    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=100), log)
        world.rotator.want("b", workload("/b", ttl_s=100), log)
        await trio.sleep(1)
        world.rotator.pause("a")
        world.rotator.pause("b")
        await trio.sleep(90)
        assert len(log.issued_at) == 2
        world.rotator.resume("a")
        await trio.sleep(0.1)
        assert [key for _, key in log.issued_at[2:]] == ["a"]
        await trio.sleep(20)
        assert [key for _, key in log.expired_at] == ["b"]
        world.rotator.resume("b")
        await trio.sleep(0.1)
        assert log.issued_at[-1][1] == "b"

    play(signer, story)


def test_a_life_that_is_known_from_before_keeps_its_instant(signer):
    async def story(world, log):
        first = await world.issuer.issue(workload(ttl_s=1000))
        await trio.sleep(100)
        world.rotator.want("a", workload(ttl_s=1000), log, first.life)
        await trio.sleep(1000)
        assert log.issued_at[0][0] == pytest.approx(first.life.rotate_at_s - world.clocks.begin_s, abs=0.01)

    play(signer, story)


def test_idle_it_wakes_a_few_times_a_minute_only(signer):
    async def story(world, log):
        waits = 0
        real = world.rotator._take_due

        def counted():
            nonlocal waits
            waits += 1
            return real()

        world.rotator._take_due = counted
        world.rotator.want("a", workload(ttl_s=3600), log)
        await trio.sleep(1000)
        assert waits < 270

    play(signer, story)


def test_errors_of_our_own_end_the_process(signer):
    """A bug is not an outage: it must be seen."""

    async def broken(_order):
        raise ZeroDivisionError

    async def main():
        world = World(signer)
        world.rotator._issue = broken
        world.rotator.want("a", workload(), Log(world))
        await world.rotator.run()

    with pytest.raises(ExceptionGroup):
        run(main)


def test_failures_are_logged_louder_when_nothing_is_left(signer, caplog):
    caplog.set_level(logging.INFO)

    async def story(world, log):
        world.rotator.want("a", workload(ttl_s=1000), log)
        await trio.sleep(1)
        world.client.away = True
        await trio.sleep(1000)

    play(signer, story)
    levels = [record.levelno for record in caplog.records if record.getMessage() == "not issued"]
    assert levels[0] == logging.WARNING
    assert levels[-1] == logging.ERROR
    assert sorted(levels) == levels
