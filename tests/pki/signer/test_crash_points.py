"""A crash before every single step of the disk: afterwards everything is before or after, never between."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from fakes.ca_authority import Wall, setting, start

from ca.errors import LocalError
from ca.signer import first_start
from ca.signer.first_start import Action, Found, decide

STEPS = [(os, "fsync"), (os, "fdatasync"), (Path, "rename"), (Path, "unlink"), (Path, "mkdir")]


class Crash(BaseException):
    """The power goes out."""


@pytest.fixture
def crash_at(monkeypatch):
    """Lets the n-th step fail, before it is done; returns how many there were."""

    def run(number, act, error=None):
        counter = itertools.count()

        def wrap(real):
            def step(*args, **kwargs):
                if next(counter) == number:
                    raise error or Crash
                return real(*args, **kwargs)

            return step

        with monkeypatch.context() as patch:
            for owner, name in STEPS:
                patch.setattr(owner, name, wrap(getattr(owner, name)))
            try:
                act()
            except (Crash, LocalError):
                return True
        return False

    return run


def stored(directory):
    return sorted(path.name for path in (directory / "data/keystore").iterdir())


@pytest.mark.parametrize("own_kek", [True, False])
def test_a_first_start_that_breaks_off_is_begun_again_or_finished(tmp_path, crash_at, own_kek):
    for number in itertools.count():
        directory = tmp_path / str(number)
        directory.mkdir()
        kek = None
        if not own_kek:
            kek = directory / "mykek"
            kek.touch(0o600)
            kek.write_text("00" * 32)
        crashed = crash_at(number, lambda: start(setting(directory, kek=kek)).close())  # noqa: B023
        published = (directory / "data/keystore").exists() or (
            own_kek and (directory / "data/kek").exists()
        )  # from here on the same root must appear
        promised = stored_root(directory) if published else None
        again = start(setting(directory, kek=kek))
        again.close()
        root = again.authority.authorities[0].id
        assert promised in {None, root}
        assert stored(directory) == sorted(
            ["state.json", *(f"{authority.id}.json" for authority in again.authority.authorities)]
        )
        assert not (directory / "data/keystore.new").exists()
        assert (directory / "data/initialised").exists()
        assert start(setting(directory, kek=kek)).authority.bundle == again.authority.bundle
        if not crashed:
            assert number > 15, "the steps were really counted"
            return


def stored_root(directory):
    """The root that a published, or prepared and sealed, store holds."""
    for name in ("keystore", "keystore.new"):
        for path in (directory / "data" / name).glob("*.json"):
            if '"kind": "root"' in path.read_text():
                return path.stem
    return None


def test_127_a_renewal_that_breaks_off_leaves_the_old_or_the_new_intermediate(tmp_path, crash_at):
    outcomes = set()
    for number in itertools.count():
        directory = tmp_path / str(number)
        wall = Wall()
        first = start(setting(directory), wall)
        old = first.authority.authorities[1].id
        wall.advance(days=4)
        crashed = crash_at(number, lambda: first.authority.tick(wall()))  # noqa: B023
        first.close()
        wall.advance(days=-1)  # the clock does not ask for another renewal at once
        again = start(setting(directory), wall)
        assert again.authority.bundle == first.authority.bundle
        root, between = again.authority.authorities
        assert stored(directory) == sorted(["state.json", f"{root.id}.json", f"{between.id}.json"])
        outcomes.add(between.id == old)
        wall.advance(days=1)
        assert again.authority.tick(wall()) is (between.id == old)
        again.leaf()
        again.close()
        if not crashed:
            assert number > 5
            assert outcomes == {True, False}
            return


def test_83_a_disk_that_fails_at_any_step_of_a_renewal_stops_nothing(tmp_path, crash_at):
    for number in itertools.count():
        directory = tmp_path / str(number)
        wall = Wall()
        signer = start(setting(directory), wall)
        wall.advance(days=4)
        failed = crash_at(number, lambda: signer.authority.tick(wall()), OSError(5, "Input/output error"))  # noqa: B023
        signer.leaf()
        signer.authority.tick(wall())
        signer.leaf()
        assert not signer.authority.tick(wall()), "renewed in the end"
        signer.close()
        again = start(setting(directory), wall)
        assert again.authority.authorities[1].id == signer.authority.authorities[1].id
        assert len(stored(directory)) == 3
        again.close()
        if not failed:
            assert number > 5
            return


def found(**there):
    everything = {"store", "staged", "own_kek", "kek_given", "marker", "journal_began"}
    return Found(**{name: there.get(name, False) for name in everything})


@pytest.mark.parametrize(
    ("there", "action"),
    [
        (set(), Action.CREATE),
        ({"kek_given"}, Action.CREATE),
        ({"staged"}, Action.CREATE),
        ({"staged", "kek_given"}, Action.CREATE),
        ({"staged", "own_kek"}, Action.FINISH),
        ({"store"}, Action.OPEN),
        ({"store", "marker", "journal_began", "own_kek"}, Action.OPEN),
        ({"own_kek"}, None),
        ({"marker"}, None),
        ({"journal_began"}, None),
        ({"marker", "kek_given"}, None),
        ({"staged", "own_kek", "marker"}, None),
        ({"staged", "own_kek", "journal_began"}, None),
    ],
    ids=str,
)
def test_what_lies_there_decides(tmp_path, there, action):
    facts = found(**dict.fromkeys(there, True))
    if action is not None:
        assert decide(facts, tmp_path) is action
        return
    with pytest.raises(first_start.LocalError, match="no new root was made"):
        decide(facts, tmp_path)


def test_every_combination_is_decided_and_evidence_always_forbids_a_new_root(tmp_path):
    names = ["store", "staged", "own_kek", "kek_given", "marker", "journal_began"]
    for values in itertools.product([False, True], repeat=len(names)):
        there = dict(zip(names, values, strict=True))
        try:
            action = decide(Found(**there), tmp_path)
        except first_start.LocalError:
            continue
        if action is Action.CREATE:
            assert not there["store"]
            assert not there["marker"]
            assert not there["journal_began"]
            assert there["kek_given"] or not there["own_kek"]
