from __future__ import annotations

import re

import pytest

from ca.errors import ConfigError
from ca.identity.lifetimes import DAY_S, Lifetimes, read_duration


def test_the_defaults_hold():
    assert Lifetimes().checked() == Lifetimes()


@pytest.mark.parametrize(
    "wrong",
    [
        Lifetimes(leaf_s=2 * DAY_S),
        Lifetimes(node_s=2 * DAY_S),
        Lifetimes(intermediate_s=3600),
        Lifetimes(root_s=8 * DAY_S),
        Lifetimes(backdate_s=9),
        Lifetimes(backdate_s=301),
        Lifetimes(leaf_s=0),
        Lifetimes(leaf_s=-5),
        Lifetimes(root_s=100 * 365 * DAY_S),
        Lifetimes(leaf_s=400 * DAY_S),
    ],
    ids=str,
)
def test_what_does_not_hold_is_refused_with_the_nearest_set_that_does(wrong):
    with pytest.raises(ConfigError) as refused:
        wrong.checked()
    nearest = wrong.nearest_valid()
    assert str(nearest) in str(refused.value)
    assert nearest.checked() == nearest
    assert max(nearest.leaf_s, nearest.node_s) * 6 <= nearest.intermediate_s
    assert nearest.intermediate_s * 6 <= nearest.root_s
    assert nearest.nearest_valid() == nearest


def test_the_nearest_set_keeps_what_the_operator_most_cares_about():
    nearest = Lifetimes(leaf_s=2 * DAY_S).nearest_valid()
    assert (nearest.leaf_s, nearest.intermediate_s, nearest.root_s) == (2 * DAY_S, 12 * DAY_S, 365 * DAY_S)


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20), ("10m", 600), ("1h", 3600), ("7d", 604_800)])
def test_durations(text, seconds):
    assert read_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "1", "1 h", "1h30m", "-1s", 20, 0, -1, True, None, 1.5, "2w", "٣s", "1H", "0s", "1h\n"]
)
def test_what_is_no_duration_is_refused_with_the_form_that_is(text):
    with pytest.raises(ValueError, match=re.escape("no duration")):
        read_duration(text)
