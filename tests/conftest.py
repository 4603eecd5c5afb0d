"""For every test: no leftovers, no end of patience, and no other distribution that shadows our packages."""

from __future__ import annotations

import faulthandler
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `from fakes import …` and `from imports import …`
sys.path.insert(0, str(Path(__file__).parent / "arch"))

from fakes import leftovers

TEST_S_MAX = 240
"""A test that takes longer has hung: it fails, and what it started is ended by its own means."""
TEST_S_KILL = 300
"""If even that hangs: every thread's traceback, and the end of the run."""
WATCHDOG = pytest.StashKey[int]()
TEMPORARY = pytest.StashKey[str]()


class TestHungError(Exception):
    """Raised in the midst of a test."""

    __test__ = False


def pytest_configure(config: pytest.Config) -> None:
    from legation.environment import refuse_shadowing_distributions  # noqa: PLC0415 (before anything else of ours)

    try:
        refuse_shadowing_distributions()
    except Exception as error:  # noqa: BLE001 (its words are for people, not for a traceback)
        pytest.exit(str(error), returncode=2)
    leftovers.adopt_orphans()
    config.stash[WATCHDOG] = os.dup(2)  # later 2 is pytest's own, and what it holds is lost with the process
    signal.signal(signal.SIGALRM, _hung)
    _own_temporary_directory(config)


def _own_temporary_directory(config: pytest.Config) -> None:
    """One for this run alone, so that what lies in it is ours. `tmp_path` stays where it always is."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    config.stash[TEMPORARY] = tempfile.tempdir = os.environ["TMPDIR"] = tempfile.mkdtemp(prefix="lt-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if TEMPORARY in config.stash:
        shutil.rmtree(config.stash[TEMPORARY], ignore_errors=True)


def _hung(*_: object) -> None:
    raise TestHungError(f"not over after {TEST_S_MAX} s")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Set-up, call and tear-down of a test, with an end."""
    signal.alarm(TEST_S_MAX)
    faulthandler.dump_traceback_later(TEST_S_KILL, exit=True, file=item.config.stash[WATCHDOG])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.alarm(0)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Before fixtures end what they started."""
    leftovers.MAPPED.note()


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_by_a_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """What the fixtures of a module started has to be gone after it."""
    with leftovers.nothing_left(request.node.nodeid):
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a test started has to be gone after it."""
    with leftovers.nothing_left(request.node.nodeid):
        yield


@pytest.fixture(autouse=True)
def the_root_logger_is_given_back() -> Iterator[None]:
    """A program's `main` that a test calls sends all log lines to that test's stderr."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
