"""What Envoys refused: who, what, which file and line, and Envoy's own sentence. Bounded."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from typing import Final

from xds import names
from xds.engine.events import Rejection
from xds.logs import event

HISTORY_MAX: Final = 200
"""Of all nodes together; each entry is at most some KB."""

LOGGED_MAX: Final = 20
"""Written to the log for one change; one that a whole fleet refuses is one story, not two thousand."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One rejection, and who it came from."""

    node: str
    spiffe_id: str | None
    rejection: Rejection
    at_s: float
    """By the clock of the fleet."""


class Rejections:
    """The newest rejections of the whole fleet, those of nodes that have gone as well."""

    def __init__(self) -> None:
        self._history: deque[Refusal] = deque(maxlen=HISTORY_MAX)
        self._logged = 0
        self.totals: dict[str, int] = {}
        """By type URL, since the start."""

    def add(self, refusal: Refusal) -> None:
        """Keep one, and log it unless this change has filled the log already."""
        type_url = refusal.rejection.type_url
        self._history.append(refusal)
        self.totals[type_url] = self.totals.get(type_url, 0) + 1
        self._logged += 1
        _log(refusal, logging.WARNING if self._logged <= LOGGED_MAX else logging.DEBUG)
        if self._logged == LOGGED_MAX:
            event(log, logging.WARNING, "further rejections of this change are in the status and not in the log")

    def new_change(self) -> None:
        """Something was published: the log may speak again."""
        self._logged = 0

    def newest_first(self) -> list[Refusal]:
        """Everything that is kept."""
        return list(reversed(self._history))


def type_name(type_url: str) -> str:
    """What operators call a type: CDS, or the last word of the URL."""
    return names.SHORT.get(type_url) or names.shown(type_url.rpartition(".")[2])


def _log(refusal: Refusal, level: int) -> None:
    rejection = refusal.rejection
    event(
        log,
        level,
        "rejected",
        node=refusal.node,
        type=type_name(rejection.type_url),
        version=rejection.version,
        nonce=rejection.nonce,
        resource=", ".join(rejection.names[:10]),
        file=", ".join(rejection.sources[:10]),
        error=rejection.message,
    )
