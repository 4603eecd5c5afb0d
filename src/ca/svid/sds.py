"""SDS: who may connect, and whose secrets a stream sees. The identity is the certificate's, never `node.id`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, Protocol

from ca.svid.node import Node, Refused
from xds.edge.identity import Peer
from xds.edge.methods import SDS_METHODS, Method
from xds.edge.server import EdgeServer, Stream, wake_all
from xds.engine.session import Session
from xds.engine.view import View
from xds.engine.wire import NodeInfo
from xds.errors import Fault, PeerError
from xds.logs import event
from xds.names import shown

IDENTIFIER: Final = "legation ca"

log = logging.getLogger(__name__)


class Nodes(Protocol):
    """Who keeps the nodes, and wants to know whether somebody uses their secrets."""

    def node(self, name: str) -> Node:
        """The node of that name, made if there is none."""

    def arrived(self, node: Node) -> None:
        """A stream of that node begins."""

    def left(self, node: Node) -> None:
        """A stream of that node has ended."""


class SecretHost:
    """Decides for SDS's streams: an `xds.edge.server.Host`."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._node_of: dict[Stream, Node] = {}
        self.denied_count = 0
        """Names asked for by nodes that may not have them."""
        self.rejected_count = 0
        """Rejections by clients."""

    @property
    def streams(self) -> Mapping[Stream, Node]:
        """The open streams."""
        return self._node_of

    def admit(self, peer: Peer, method: Method) -> None:  # noqa: ARG002 (the host's signature)
        """Only nodes may ask for secrets."""
        node_name(peer)

    def open(self, peer: Peer, node: NodeInfo, method: Method) -> View:  # noqa: ARG002 (likewise)
        """The view of the node that the certificate names; what the client says of itself is for people."""
        return self._nodes.node(node_name(peer)).view

    def doubts(self, peer: Peer, node: NodeInfo) -> Collection[tuple[str, str]]:  # noqa: ARG002 (the edge's signature)
        """What this node rejected on earlier streams: its word on that is not taken (facts A2)."""
        return self._nodes.node(node_name(peer)).doubts

    def opened(self, stream: Stream) -> None:
        """A stream begins."""
        node = self._nodes.node(node_name(stream.peer))
        self._node_of[stream] = node
        self._nodes.arrived(node)

    def closed(self, stream: Stream) -> None:
        """A stream ends: what it confirmed is kept, and what it asked for in vain is told."""
        node = self._node_of.pop(stream, None)
        if node is not None:
            self.note_denied([node])
            node.remember(stream.session)
            self._nodes.left(node)

    def rejected(self, stream: Stream) -> None:
        """A client rejected a secret. Its text is not read: it may hold the key (facts A3)."""
        node = self._node_of.get(stream)
        for rejection in stream.session.take_rejections():
            self.rejected_count += 1
            refused = Refused(rejection.names, rejection.code, rejection.message)
            names = ", ".join(shown(name) for name in rejection.names)
            event(log, logging.ERROR, "secret rejected by the client", node=node.name if node else "", resource=names)
            if node is not None:
                node.rejected(refused)

    def note_denied(self, nodes: Collection[Node]) -> None:
        """Count and log names that nodes ask for in vain. They are held: an entry may come (identity 100)."""
        for node in nodes:
            for name in node.take_denied():
                self.denied_count += 1
                event(log, logging.WARNING, "secret denied: no entry grants it", node=node.name, resource=shown(name))


def sds_server(host: SecretHost, trust_domain: str, wall: Callable[[], float]) -> EdgeServer:
    """The server: StreamSecrets, DeltaSecrets and FetchSecrets. `wall` is the clock of certificates."""
    return EdgeServer(
        host,
        SDS_METHODS,
        trust_domain=trust_domain,
        forbidden_types=frozenset(),
        identifier=IDENTIFIER,
        on_rejected=host.rejected,
        doubts=host.doubts,
        wall=wall,
    )


def wake(sessions: Iterable[Session]) -> None:
    """Have the streams of these sessions look for what is due."""
    wake_all(sessions)


def node_name(peer: Peer) -> str:
    """The node whose certificate this is. Raises `PeerError`."""
    name = peer.spiffe_id.node_name if peer.spiffe_id is not None else None
    if name is None:
        who = shown(str(peer.spiffe_id)) if peer.spiffe_id is not None else "no certificate"
        raise PeerError(
            Fault.DENIED, f"secrets are for nodes (spiffe://TRUST-DOMAIN/cp/node/NAME), and the client shows {who}"
        )
    return name
