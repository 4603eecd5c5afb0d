"""Takes snapshots from a source, brings the views to them, wakes the streams. The only writer of the store."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

from xds.config.problems import Problem, shown
from xds.config.snapshot import Snapshot
from xds.control.readiness import Readiness
from xds.control.store import Store
from xds.control.telling import tell
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
        self.store = store
        self._readiness = readiness
        self._on_change = on_change
        self._wake = wake
        self._reported: tuple[Problem, ...] = ()
        self.change = 0
        """Number of the state that is live; 0: none yet."""

    def publish(self, snapshot: Snapshot) -> None:
        """Make this state live. Nothing is awaited: slow clients hold nobody up."""
        old = self.store.snapshot
        published = self.store.publish(snapshot)
        self.change += 1
        self._on_change()
        for stream in published.displaced:
            # Nothing has run since the view changed, so this stream sends nothing of it.
            stream.end(Fault.UNAVAILABLE, MOVED)
        self._wake(published.woken)
        self._readiness.loaded()
        tell("resources doubtful", snapshot.warnings_since(old))
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
        reported = frozenset(self._reported)
        tell("resources refused", [problem for problem in problems if problem not in reported], level=logging.ERROR)
        if problems and self.change == 0:
            self._readiness.not_loaded(shown(problems))
        elif problems and problems != self._reported:
            event(log, logging.WARNING, "the last good state stays live", change=self.change)
        elif self._reported and not problems:
            event(log, logging.INFO, "the resources are in order again", change=self.change)
        self._reported = problems
