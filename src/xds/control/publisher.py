"""Takes snapshots from a source, brings the views to them, wakes the streams. The only writer of the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from xds.config.problems import Problem, shown
from xds.config.snapshot import Snapshot
from xds.control.readiness import Readiness
from xds.control.store import Store
from xds.edge.stream import Stream, wake_all
from xds.engine.session import Session
from xds.errors import Fault
from xds.logs import event

MOVED: Final = "the resource files select this node differently now; connect again for its new configuration"

log = logging.getLogger(__name__)


class Publisher:
    """The sink of every source."""

    def __init__(
        self,
        store: Store[Stream],
        readiness: Readiness,
        *,
        on_change: Callable[[], None],
        wake: Callable[[Iterable[Session]], None] = wake_all,
    ) -> None:
        self._store = store
        self._readiness = readiness
        self._on_change = on_change
        self._wake = wake
        self._reported: tuple[Problem, ...] = ()
        self._warned: tuple[Problem, ...] = ()
        self.change = 0
        """Number of the state that is live; 0: none yet."""

    def publish(self, snapshot: Snapshot) -> None:
        """Make this state live. Nothing is awaited: slow clients hold nobody up."""
        published = self._store.publish(snapshot)
        self.change += 1
        self._on_change()
        for stream in published.displaced:
            # Nothing has run since the view changed, so this stream sends nothing of it.
            stream.end(Fault.UNAVAILABLE, MOVED)
        self._wake(published.woken)
        self._readiness.loaded()
        for warning in snapshot.warnings:
            if warning not in self._warned:
                _log(logging.WARNING, "resources doubtful", warning)
        self._warned = snapshot.warnings
        event(
            log,
            logging.INFO,
            "published",
            change=self.change,
            files=len(snapshot.files),
            views=published.views_changed,
            streams=len(published.woken),
        )

    def report(self, problems: tuple[Problem, ...]) -> None:
        """Log what is new among the problems, and that they are over."""
        for problem in problems:
            if problem not in self._reported:
                _log(logging.ERROR, "resources refused", problem)
        if problems and self.change == 0:
            self._readiness.not_loaded(shown(problems))
        elif problems and problems != self._reported:
            event(log, logging.WARNING, "the last good state stays live", change=self.change)
        elif self._reported and not problems:
            event(log, logging.INFO, "the resources are in order again", change=self.change)
        self._reported = problems


def _log(level: int, what: str, problem: Problem) -> None:
    event(
        log,
        level,
        what,
        file=problem.file,
        line=problem.line or None,
        column=problem.column or None,
        resource=problem.resource,
        field=problem.field,
        error=problem.message,
    )
