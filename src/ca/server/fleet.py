"""The nodes: who is there, what each may have, and the rotator's and the signer's news on their way to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

from ca.identity.bundle import Bundle
from ca.identity.entries import Entry
from ca.svid.holder import Holder
from ca.svid.node import Node
from ca.svid.order import Order
from ca.svid.rotator import Rotator
from ca.svid.secrets import bundle_record
from ca.svid.slot import Slot
from xds.engine.record import Record
from xds.engine.session import Session
from xds.names import SpiffeId


@dataclass(frozen=True, slots=True)
class SvidKey:
    """Of one certificate in the rotator: the node's, under one entry."""

    node: str
    spiffe_id: SpiffeId


class Fleet:
    """Every node that uses its secrets, or may soon. Keys are made when a node connects, and kept over reconnects.

    Of a node without streams nothing is renewed; what it has stays until it ends, and then the node is forgotten.
    """

    def __init__(self, rotator: Rotator, wake: Callable[[Iterable[Session]], None]) -> None:
        self._rotator = rotator
        self._wake = wake
        self._nodes: dict[str, Node] = {}
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._bundle: Record | None = None

    @property
    def nodes(self) -> dict[str, Node]:
        """The nodes by name; not to be changed."""
        return self._nodes

    def slot(self, node: Node, spiffe_id: SpiffeId) -> Slot | None:
        """What the rotator knows of one certificate."""
        return self._rotator.slots.get(SvidKey(node.name, spiffe_id))

    # ----- from SDS

    def node(self, name: str) -> Node:
        """The node of that name, made if there is none."""
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = Node(name)
            if self._bundle is not None:
                node.trust(self._bundle)
            node.entitle(self._entries.get(name, ()))
        return node

    def arrived(self, node: Node) -> None:
        """A stream begins: what the node may have is made, or renewed if that was put off."""
        node.streams += 1
        self._nodes[node.name] = node
        if node.streams > 1:
            return
        for entry in node.entries:
            key = SvidKey(node.name, entry.spiffe_id)
            self._rotator.want(key, _order(entry), self)
            self._rotator.resume(key)

    def left(self, node: Node) -> None:
        """A stream has ended. With the last one renewal pauses."""
        node.streams -= 1
        if node.streams:
            return
        for entry in node.entries:
            self._rotator.pause(SvidKey(node.name, entry.spiffe_id))

    def forget_idle(self) -> None:
        """Let go of nodes that have neither a stream nor a certificate, granted or withdrawn."""
        now_s = self._rotator.now_s()
        for node in self._nodes.values():
            node.forget_ended(now_s)
        idle = [node for node in self._nodes.values() if not (node.streams or node.holders or node.withdrawn)]
        for node in idle:
            for entry in node.entries:
                self._rotator.drop(SvidKey(node.name, entry.spiffe_id))
            del self._nodes[node.name]

    # ----- from the entries and from the signer

    def grant(self, entries: Iterable[Entry]) -> None:
        """From now on these entries count, for nodes that are there and for those to come."""
        of_node: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            of_node[entry.node].append(entry)
        self._entries = granted = {node: tuple(each) for node, each in of_node.items()}
        for node in self._nodes.values():
            self._grant(node, granted.get(node.name, ()))

    def trust(self, bundle: Bundle) -> None:
        """The roots have changed: every node is told, with or without a certificate of its own (identity 95)."""
        self._bundle = bundle_record(bundle)
        for node in self._nodes.values():
            self._wake(node.trust(self._bundle))

    def _grant(self, node: Node, entries: tuple[Entry, ...]) -> None:
        kept = {entry.spiffe_id for entry in entries}
        for entry in node.entries:
            if entry.spiffe_id not in kept:
                self._rotator.drop(SvidKey(node.name, entry.spiffe_id))
        self._wake(node.entitle(entries))
        for entry in entries:
            key = SvidKey(node.name, entry.spiffe_id)
            if node.streams or key in self._rotator.slots:
                self._rotator.want(key, _order(entry), self)

    # ----- from the rotator

    def issued(self, key: Hashable, holder: Holder) -> None:
        """Hand a certificate to its node."""
        if isinstance(key, SvidKey) and (node := self._nodes.get(key.node)) is not None:
            self._wake(node.deliver(key.spiffe_id, holder))

    def expired(self, key: Hashable) -> None:
        """Take an ended one away."""
        if isinstance(key, SvidKey) and (node := self._nodes.get(key.node)) is not None:
            node.end(key.spiffe_id)


def _order(entry: Entry) -> Order:
    return Order("leaf", entry.spiffe_id, entry.node, entry.ttl_s, entry.dns_names)
