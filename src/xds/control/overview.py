"""Gathers what the process knows of itself, for the admin API and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xds.control import status
from xds.control.fleet import Fleet
from xds.control.flow import Source
from xds.control.publisher import Publisher
from xds.control.readiness import Readiness
from xds.control.store import Store
from xds.control.tls import TlsFiles
from xds.edge.server import EdgeServer
from xds.edge.stream import Stream


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything that can be asked about."""

    readiness: Readiness
    store: Store[Stream]
    fleet: Fleet
    publisher: Publisher
    source: Source
    tls: TlsFiles | None
    servers: Sequence[EdgeServer]
    clock: Callable[[], float]

    def status(self) -> dict[str, Any]:
        """The answer of /v1/status."""
        now = self.clock()
        reason = self.readiness.reason()
        return {
            "process": "xds",
            "ready": reason is None,
            "reason": reason,
            "change": self.publisher.change,
            "source": status.source_json(self.source.status),
            "tls": None if self.tls is None else {"rotations": self.tls.rotations, "error": self.tls.error},
            "nodes": status.nodes_json(self.fleet.connected, now),
            "rejections": status.rejections_json(self.fleet.rejections.newest_first(), now),
        }

    def metrics(self) -> bytes:
        """The answer of /metrics."""
        # 50 to 90 ms that the start of the process need not pay for.
        from xds.control.metrics import Reading, exposition  # noqa: PLC0415

        def read() -> Reading:
            return Reading(
                ready=self.readiness.reason() is None,
                change=self.publisher.change,
                views=len(self.store.groups),
                source=self.source.status,
                connected=tuple(self.fleet.connected),
                rejections=self.fleet.rejections.totals,
                tallies=tuple(server.tally for server in self.servers),
                tls_rotations=0 if self.tls is None else self.tls.rotations,
                tls_error=self.tls is not None and self.tls.error is not None,
            )

        return exposition(read)
