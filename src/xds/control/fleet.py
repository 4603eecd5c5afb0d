"""Every connected Envoy: who may come in, whose view is which, what was rejected. The `Host` of `edge.server`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from xds import names
from xds.config.scope import NodeFacts
from xds.control.doubts import Doubts
from xds.control.readiness import Readiness
from xds.control.rejections import Refusal, Rejections
from xds.control.store import Store
from xds.edge.identity import Peer
from xds.edge.methods import Method
from xds.edge.stream import Stream
from xds.engine.view import View
from xds.engine.wire import NodeInfo, metadata_dict
from xds.errors import Fault, PeerError
from xds.logs import event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connected:
    """An open stream, and what is known of its node."""

    stream: Stream
    view: View
    facts: NodeFacts
    node: str
    """The name in the verified identity; on plaintext what the client calls itself."""
    spiffe_id: str | None


class Fleet:
    """The host of the management server's streams."""

    def __init__(
        self, store: Store[Stream], readiness: Readiness, *, trust_domain: str, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._readiness = readiness
        self._trust_domain = trust_domain
        self._clock = clock
        self._connected: dict[Stream, Connected] = {}
        self._doubts = Doubts()
        self.rejections = Rejections()

    @property
    def connected(self) -> Collection[Connected]:
        """Every open stream."""
        return self._connected.values()

    def admit(self, peer: Peer, method: Method) -> None:  # noqa: ARG002 (every method is for the same clients)
        """Refuse what may not talk to us. Raises `PeerError`."""
        if (why := self._readiness.refusal()) is not None:
            raise PeerError(Fault.UNAVAILABLE, why)
        if peer.spiffe_id is None:
            return  # plaintext: on loopback only, where the operator asked for it by name
        if peer.spiffe_id.trust_domain != self._trust_domain or peer.spiffe_id.node_name is None:
            raise PeerError(
                Fault.DENIED,
                f"{peer.spiffe_id} is not the identity of a node: configuration is for"
                f" spiffe://{self._trust_domain}{names.NODE_PATH}NAME only, see `legation enroll`",
            )

    def open(self, peer: Peer, node: NodeInfo, method: Method) -> View:  # noqa: ARG002 (a view holds every type)
        """The view of this node. Raises `PeerError`."""
        return self._store.view_for(facts_of(peer, node))

    def opened(self, stream: Stream) -> None:
        """A stream begins."""
        peer, node = stream.peer, stream.node
        facts = facts_of(peer, node)
        view = self._store.join(stream, facts)
        spiffe_id = None if peer.spiffe_id is None else str(peer.spiffe_id)
        self._connected[stream] = connected = Connected(stream, view, facts, name_of(peer, node), spiffe_id)
        _log_stream("stream opened", connected)

    def closed(self, stream: Stream) -> None:
        """A stream has ended."""
        connected = self._connected.pop(stream, None)
        if connected is not None:
            self._doubts.remember(_client(stream.peer, stream.node), stream.session.doubts())
            self._store.leave(stream, connected.view)
            _log_stream("stream closed", connected)

    def doubts(self, peer: Peer, node: NodeInfo) -> Collection[tuple[str, str]]:
        """What this client rejected on its last stream."""
        return self._doubts.of(_client(peer, node))

    def rejected(self, stream: Stream) -> None:
        """The session of this stream holds rejections."""
        connected = self._connected.get(stream)
        for rejection in stream.session.take_rejections():
            if connected is not None:
                self.rejections.add(Refusal(connected.node, connected.spiffe_id, rejection, self._clock()))


def facts_of(peer: Peer, node: NodeInfo) -> NodeFacts:
    """What decides about a view: the verified identity, then what the client says of itself. Raises `PeerError`."""
    spiffe_id = None if peer.spiffe_id is None else str(peer.spiffe_id)
    return NodeFacts(spiffe_id, node.id, node.cluster, metadata_dict(node))


def _client(peer: Peer, node: NodeInfo) -> str:
    return node.id if peer.spiffe_id is None else str(peer.spiffe_id)


def name_of(peer: Peer, node: NodeInfo) -> str:
    """What operators call this node."""
    verified = None if peer.spiffe_id is None else peer.spiffe_id.node_name
    return verified if verified is not None else node.id


def _log_stream(what: str, connected: Connected) -> None:
    ending = connected.stream.ending
    event(
        log,
        logging.INFO,
        what,
        node=names.shown(connected.node).strip("'"),
        address=connected.stream.peer.address,
        method=connected.stream.method.method,
        error=None if ending is None else ending.message,
    )
