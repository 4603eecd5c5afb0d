"""Order of runs and times of changes."""

import pytest

from bench.core import schedule


def test_changes_are_due_at_the_rate_whatever_happens():
    due = [change.due_ns for change in schedule.changes(count=4, rate=4, resources=10, seed=1)]
    assert due == [0, 250_000_000, 500_000_000, 750_000_000]


def test_changes_are_numbered_from_one():
    made = schedule.changes(count=3, rate=4, resources=10, seed=1)
    assert [change.sequence for change in made] == [1, 2, 3]


def test_the_seed_draws_the_resources():
    def resources(seed):
        return [change.resource for change in schedule.changes(count=20, rate=4, resources=1000, seed=seed)]

    assert resources(1) == resources(1)
    assert resources(1) != resources(2)
    assert all(0 <= resource < 1000 for resource in resources(1))


@pytest.mark.parametrize("wrong", [{"count": 0}, {"rate": 0}, {"resources": 0}])
def test_what_cannot_be_scheduled_is_refused(wrong):
    with pytest.raises(ValueError, match="schedule needs"):
        schedule.changes(**({"count": 1, "rate": 1, "resources": 1, "seed": 1} | wrong))


def test_subjects_are_interleaved_so_that_none_is_always_first():
    order = list(schedule.interleaved(("A", "B"), 3))
    assert order == [(0, "A"), (0, "B"), (1, "B"), (1, "A"), (2, "A"), (2, "B")]
