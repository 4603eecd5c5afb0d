"""For every test: no leftovers, and no environment in which another distribution shadows our packages."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `from fakes import …` and `from imports import …`
sys.path.insert(0, str(Path(__file__).parent / "arch"))


def pytest_configure(config: pytest.Config) -> None:
    from legation.environment import refuse_shadowing_distributions  # noqa: PLC0415 (before anything else of ours)

    try:
        refuse_shadowing_distributions()
    except Exception as error:  # noqa: BLE001 (its words are for people, not for a traceback)
        pytest.exit(str(error), returncode=2)


def _children() -> dict[int, str]:
    found = {}
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread or a child that has just ended
            for pid in (task / "children").read_text().split():
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")
                found[int(pid)] = words.decode(errors="replace")
    return found


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Fail a test after which a child process of ours still runs."""
    before = set(_children())
    yield
    left = {pid: words for pid, words in _children().items() if pid not in before and words.strip()}
    assert left == {}, f"still running, by {os.environ.get('PYTEST_CURRENT_TEST')}: {left}"
