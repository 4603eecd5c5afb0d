"""A host with one view for everybody, and a way to run a client's coroutine against a real server of it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from xds import names
from xds.edge import guest, methods
from xds.edge.credentials import ServerCredentials
from xds.edge.identity import Peer
from xds.edge.methods import Method
from xds.edge.server import EdgeServer, Stream
from xds.engine.record import Record, make_record
from xds.engine.view import View
from xds.engine.wire import NodeInfo

TRUST_DOMAIN = "td.test"


class FakeHost:
    """Admits everybody to one view. `refuse_admit` and `refuse_open` are raised where they are set."""

    def __init__(self) -> None:
        self.view = View("test")
        self.now: set[Stream] = set()
        self.seen: list[tuple[str, str | None]] = []
        """(node id, SPIFFE ID) of every stream opened."""
        self.closings = 0
        self.refuse_admit: Exception | None = None
        self.refuse_open: Exception | None = None

    def admit(self, peer: Peer, method: Method) -> None:
        if self.refuse_admit is not None:
            raise self.refuse_admit

    def open(self, peer: Peer, node: NodeInfo, method: Method) -> View:
        if self.refuse_open is not None:
            raise self.refuse_open
        self.seen.append((node.id, None if peer.spiffe_id is None else str(peer.spiffe_id)))
        return self.view

    def opened(self, stream: Stream) -> None:
        self.now.add(stream)

    def closed(self, stream: Stream) -> None:
        self.now.discard(stream)
        self.closings += 1


def cluster(name: str, body: bytes = b"") -> Record:
    """A record that the edge carries like any other; its body is no real cluster but what the test says."""
    return make_record(names.CLUSTER, name, body)


def run_edge(
    client: Callable[[str, FakeHost, EdgeServer], Coroutine[Any, Any, None]],
    *,
    host: FakeHost | None = None,
    credentials: ServerCredentials | None = None,
    serve: Sequence[Method] = methods.XDS_METHODS,
    drain_s: float = 5.0,
    connection_age_s: float | None = None,
    **arguments: Any,
) -> FakeHost:
    """Start a server on loopback, run the client, drain. Returns the host."""
    host = FakeHost() if host is None else host

    async def main() -> None:
        server = EdgeServer(host, serve, trust_domain=TRUST_DOMAIN, identifier="test", **arguments)
        address = await server.start("127.0.0.1:0", credentials, connection_age_s=connection_age_s)
        try:
            await guest.call(client(address, host, server))
        finally:
            await server.drain(drain_s)

    guest.run(main)
    return host
