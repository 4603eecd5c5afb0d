"""The two ends of the one-way flow into the store, so that a source can be exchanged (a benchmark's is a pipe)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import trio

from xds.config.problems import Problem, shown
from xds.config.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """What a source says of itself. `files` and `resources` count the last good state."""

    path: str
    files: int = 0
    resources: int = 0
    problems: tuple[Problem, ...] = ()
    loads: int = 0

    @property
    def error(self) -> str | None:
        """Every problem, one a line; None if all is well."""
        return shown(self.problems) or None


class Sink(Protocol):
    """Where a source puts what it has: the publisher."""

    def publish(self, snapshot: Snapshot) -> None:
        """Make this state live."""

    def report(self, problems: tuple[Problem, ...]) -> None:
        """Say what keeps the newest state from being published; empty: nothing does."""


class Source(Protocol):
    """Anything that brings snapshots."""

    @property
    def status(self) -> SourceStatus:
        """For the admin API and the metrics."""

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None]) -> None:
        """Bring snapshots until cancelled. Started when the first attempt is over, good or not."""

    def reload(self) -> None:
        """Read everything again (SIGHUP)."""
