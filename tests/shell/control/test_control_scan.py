"""The decisions about the directory, without a directory."""

from __future__ import annotations

import math

import pytest

from xds.control.scan import BURST_MAX_S, Debounce, Stamp, is_resource_file, plan, refuse_emptied


def stamp(number: int) -> Stamp:
    return Stamp(0, number, 0, 0, 0)


@pytest.mark.parametrize("name", ["a.yaml", "a.yml", "a.json", "a.py", "sub/a.yaml"])
def test_these_are_resource_files(name):
    assert is_resource_file(name)


@pytest.mark.parametrize("name", [".a.yaml", "a.yaml~", "a.yaml.swp", "README", "a.pem", "_common.py", "sub/.a.yaml"])
def test_these_are_not(name):
    assert not is_resource_file(name)


def test_what_is_new_or_changed_is_read_and_nothing_else():
    known = {"a.yaml": stamp(1), "b.yaml": stamp(2), "c.yaml": stamp(3)}
    seen = {"a.yaml": stamp(1), "b.yaml": stamp(9), "d.yaml": stamp(4)}
    decided = plan(known, seen)
    assert decided.read == ("b.yaml", "d.yaml")
    assert decided.gone == ("c.yaml",)


def test_everything_is_read_when_asked_for():
    known = {"a.yaml": stamp(1)}
    assert plan(known, known, everything=True).read == ("a.yaml",)


@pytest.mark.parametrize("seen", [{"_m.py": stamp(2)}, {}])
def test_a_changed_or_vanished_module_reads_every_python_file(seen):
    known = {"a.py": stamp(1), "b.yaml": stamp(1), "_m.py": stamp(1)}
    decided = plan(known, {"a.py": stamp(1), "b.yaml": stamp(1), **seen})
    assert decided.read == ("a.py",)


def test_nothing_is_due_while_nothing_changed():
    assert Debounce(0.1).due == math.inf


def test_each_change_prolongs_the_quiet_time_up_to_a_bound():
    debounce = Debounce(0.1)
    debounce.changed(10.0)
    assert debounce.due == pytest.approx(10.1)
    debounce.changed(10.05)
    assert debounce.due == pytest.approx(10.15)
    debounce.changed(10.0 + BURST_MAX_S)
    assert debounce.due == pytest.approx(10.0 + BURST_MAX_S)


def test_a_complete_change_is_due_at_once_and_stays_so():
    debounce = Debounce(0.1)
    debounce.changed(10.0, at_once=True)
    debounce.changed(10.05)
    assert debounce.due <= 10.05
    debounce.taken()
    assert debounce.due == math.inf


@pytest.mark.parametrize(("good", "seen", "refused"), [(2, 0, True), (0, 0, False), (2, 1, False)])
def test_only_becoming_empty_is_refused(good, seen, refused):
    assert (refuse_emptied(good, seen, "/dir") is not None) is refused
