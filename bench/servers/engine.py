"""Legation's engine and edge without the control room: what a push costs below snapshots, fleet and store."""

from __future__ import annotations

import itertools
from typing import Any

import trio

from bench.core.pki import TRUST_DOMAIN
from bench.servers.commands import Config, obey, say
from xds.edge import collector, guest
from xds.edge.credentials import ServerCredentials
from xds.edge.methods import ADS_METHODS, Method
from xds.edge.server import EdgeServer, wake_all
from xds.engine.record import make_record
from xds.engine.view import View


class Host:
    """Everybody gets the one view."""

    def __init__(self, view: View) -> None:
        self._view = view

    def admit(self, peer: Any, method: Method) -> None:
        """Let everybody in."""

    def open(self, peer: Any, node: Any, method: Method) -> View:  # noqa: ARG002 (the edge's protocol)
        """The view of a new stream."""
        return self._view

    def opened(self, stream: Any) -> None:
        """Nothing is kept."""

    def closed(self, stream: Any) -> None:
        """Nothing is kept."""


class Publisher:
    """Makes each change as the control room does: a record, one commit, and a wake-up for whom it concerns."""

    def __init__(self, config: Config) -> None:
        self._corpus = config.corpus()
        self.view = View("bench")
        self.view.apply(itertools.starmap(make_record, self._corpus.initial()), ())

    def publish(self, sequence: int, resource: int) -> None:
        """One change."""
        wake_all(self.view.apply([make_record(*self._corpus.changed(resource, sequence))], ()))


def main() -> None:
    """Entry of the process."""
    config = Config.from_arguments()

    async def serve() -> None:
        publisher = Publisher(config)
        server = EdgeServer(Host(publisher.view), ADS_METHODS, trust_domain=TRUST_DOMAIN, identifier="bench")
        pem = config.pem()
        listen = await server.start("127.0.0.1:0", ServerCredentials(*pem) if pem else None, connection_age_s=None)
        collector.settle()
        say(event="ready", listen=listen, runtime="uvloop, trio guest", collector="the product's")
        await obey(publisher.publish)
        with trio.CancelScope(shield=True):
            await server.drain(1.0)

    guest.run(serve)


if __name__ == "__main__":
    main()
