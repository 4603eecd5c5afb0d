"""The instant of a rotation, and the windows of retries (identity 71, 74, 75)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca.svid.schedule import ROTATE_FROM, ROTATE_SPREAD, Life, draw, next_window

SERIALS = st.integers(1, 2**159 - 1)
TTLS = st.integers(2, 10**7)


@given(SERIALS, TTLS, st.integers(0, 2**33))
def test_the_instant_lies_between_half_and_three_quarters_of_the_life_from_issue(serial, ttl_s, issued_at_s):
    life = Life(serial, float(issued_at_s), float(issued_at_s + ttl_s))
    share = (life.rotate_at_s - issued_at_s) / ttl_s
    assert ROTATE_FROM - 1e-6 <= share <= ROTATE_FROM + ROTATE_SPREAD + 1e-6


@given(SERIALS, TTLS)
def test_the_instant_is_drawn_once_and_a_restart_changes_nothing(serial, ttl_s):
    assert Life(serial, 0.0, ttl_s).rotate_at_s == Life(serial, 0.0, ttl_s).rotate_at_s


def test_the_instants_of_a_fleet_are_uniform():
    random = Random(1)
    tenths = Counter(int((Life(random.getrandbits(159), 0.0, 1.0).rotate_at_s - 0.5) * 40) for _ in range(100_000))
    assert set(tenths) == set(range(10))
    assert all(9_500 < count < 10_500 for count in tenths.values()), tenths


def test_a_certificate_of_twenty_seconds_rotates_after_ten_to_fifteen():
    """The backdate (60 s by default) never counts as life: otherwise the instant would lie before the issue."""
    random = Random(2)
    spans = [Life(random.getrandbits(159), 1000.0, 1020.0).rotate_at_s - 1000.0 for _ in range(1000)]
    assert min(spans) >= 10
    assert max(spans) <= 15


@given(SERIALS, TTLS, st.floats(0, 3), st.floats(-100, 100), st.binary(min_size=1, max_size=8))
def test_an_attempt_lies_in_its_window_and_windows_do_not_overlap(serial, ttl_s, share, offset_s, seed):
    life = Life(serial, 0.0, float(ttl_s))
    now_s = share * ttl_s
    previous_end_s = now_s + offset_s
    window = next_window(now_s, previous_end_s, life, seed)
    begin_s = max(now_s, previous_end_s)
    assert begin_s <= window.attempt_at_s <= window.end_s
    assert window.end_s > begin_s


def test_windows_are_a_twentieth_of_what_remains_and_never_grow_while_it_runs_out():
    life, now_s, end_s, lengths = Life(7, 0.0, 3600.0), 2000.0, 2000.0, []
    while now_s < life.not_after_s:
        window = next_window(now_s, end_s, life, bytes([len(lengths)]))
        lengths.append(window.end_s - max(now_s, end_s))
        now_s, end_s = window.attempt_at_s, window.end_s
    assert lengths[0] == pytest.approx(80)
    assert all(later <= earlier for earlier, later in pairwise(lengths))
    assert min(lengths) >= 5


def test_the_expired_are_tried_for_ever_but_not_all_at_once():
    life = Life(7, 0.0, 3600.0)
    window = next_window(9000.0, 9000.0, life, b"x")
    assert window.end_s - 9000.0 == pytest.approx(60)


def test_ten_thousand_clients_do_not_herd_while_the_signer_is_away():
    """Their attempts in any second of an outage stay near the average: no synchronised waves."""
    random = Random(3)
    attempts: Counter[int] = Counter()
    for number in range(10_000):
        life = Life(random.getrandbits(159), 0.0, 3600.0)
        at_s = end_s = life.rotate_at_s
        for attempt in range(1000):
            if at_s > 3400:
                break
            attempts[int(at_s)] += 1
            window = next_window(at_s, end_s, life, f"{number} {attempt}".encode())
            at_s, end_s = window.attempt_at_s, window.end_s
    for second in range(2830, 3370):
        around = sum(attempts[second + offset] for offset in range(-10, 11)) / 21
        assert attempts[second] < 1.5 * around


def test_draws_are_in_range():
    assert all(0 <= draw(bytes([first, second])) < 1 for first in range(256) for second in range(0, 256, 17))


def test_danger_is_the_last_tenth():
    life = Life(1, 0.0, 100.0)
    assert [life.in_danger(90.0), life.in_danger(90.1), life.expired(99.9), life.expired(100.0)] == [
        False, True, False, True,
    ]  # fmt: skip
