"""Who may come in, what is published to them, what is told about them."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from control_support import cluster, snapshot

from xds import names
from xds.config.problems import Problem
from xds.control import status
from xds.control.fleet import Fleet
from xds.control.publisher import MOVED, Publisher
from xds.control.readiness import Readiness
from xds.control.rejections import HISTORY_MAX, LOGGED_MAX
from xds.control.store import Store
from xds.edge.identity import Peer
from xds.edge.methods import ADS_METHODS
from xds.engine import wire
from xds.engine.session import Session
from xds.engine.wire import NodeInfo
from xds.errors import Fault, PeerError
from xds.names import SpiffeId

DELTA = ADS_METHODS[1]
TRUST_DOMAIN = "td.test"


def node_info(node_id: str) -> NodeInfo:
    return NodeInfo(node_id, "", "", "", "", "envoy/1.40.0", b"", b"")


@dataclass(eq=False)
class FakeStream:
    """Looks like the edge's; remembers that it was woken and ended."""

    peer: Peer
    node: NodeInfo
    session: Session
    opened_at: float = 0.0
    method: object = DELTA
    ending: object = None
    woken: int = 0
    ended: list[tuple[Fault, str]] = field(default_factory=list)

    def wake(self) -> None:
        self.woken += 1

    def end(self, fault: Fault, message: str) -> None:
        self.ended.append((fault, message))


class Plane:
    """Everything of the shell but its sources and listeners."""

    def __init__(self) -> None:
        self.now = 100.0
        self.store = Store()
        self.readiness = Readiness()
        self.fleet = Fleet(self.store, self.readiness, trust_domain=TRUST_DOMAIN, clock=lambda: self.now)
        self.publisher = Publisher(self.store, self.readiness, on_change=self.fleet.rejections.new_change)

    def connect(self, node: str, *, spiffe: str | None = None) -> FakeStream:
        peer = Peer(None if spiffe is None else SpiffeId.parse(spiffe), "127.0.0.1:5")
        self.fleet.admit(peer, DELTA)
        info = node_info(node)
        view, doubts = self.fleet.open(peer, info, DELTA), self.fleet.doubts(peer, info)
        session = Session(view, delta=True, allowed=None, doubts=doubts)
        stream = FakeStream(peer, info, session, opened_at=self.now)
        session.owner = stream
        self.fleet.opened(stream)
        return stream

    def nodes(self):
        return status.nodes_json(self.fleet.connected, self.now)


def request(**fields):
    return wire.message("legation.discovery.v1.DeltaRequest")(type_url=names.CLUSTER, **fields)


def subscribe(stream: FakeStream):
    reply = stream.session.on_request(request(resource_names_subscribe=["*"]))
    if reply is not None:
        stream.session.on_request(request(response_nonce=reply.nonce))
    return reply


def reject(plane: Plane, stream: FakeStream, text: str) -> None:
    reply = stream.session.next_reply()
    stream.session.on_request(request(response_nonce=reply.nonce, error_detail={"code": 13, "message": text}))
    plane.fleet.rejected(stream)


@pytest.fixture
def plane():
    return Plane()


def test_nobody_comes_in_before_the_first_good_state(plane):
    with pytest.raises(PeerError) as caught:
        plane.connect("web")
    assert caught.value.fault is Fault.UNAVAILABLE
    plane.publisher.publish(snapshot())
    plane.connect("web")


def test_nobody_comes_in_while_the_process_drains(plane):
    plane.publisher.publish(snapshot())
    plane.readiness.drain()
    with pytest.raises(PeerError) as caught:
        plane.connect("web")
    assert caught.value.fault is Fault.UNAVAILABLE


@pytest.mark.parametrize(
    "spiffe",
    [
        "spiffe://td.test/web",
        "spiffe://td.test/cp/xds",
        "spiffe://other.test/cp/node/web",
        "spiffe://td.test/cp/node/a/b",
    ],
)
def test_only_nodes_of_the_trust_domain_come_in(plane, spiffe):
    plane.publisher.publish(snapshot())
    with pytest.raises(PeerError, match="is not the identity of a node") as caught:
        plane.connect("web", spiffe=spiffe)
    assert caught.value.fault is Fault.DENIED
    assert spiffe in str(caught.value)


def test_a_node_is_called_by_its_verified_name_and_not_by_what_it_says(plane):
    plane.publisher.publish(snapshot(web=f"nodes: {{spiffe_id: '*/cp/node/web'}}\n{cluster('mine')}"))
    liar = plane.connect("web", spiffe="spiffe://td.test/cp/node/other")
    assert liar.session.view.get(names.CLUSTER, "mine") is None
    honest = plane.connect("whatever", spiffe="spiffe://td.test/cp/node/web")
    assert honest.session.view.get(names.CLUSTER, "mine") is not None
    assert [node["node"] for node in plane.nodes()] == ["other", "web"]


def test_a_change_wakes_the_streams_that_it_concerns(plane):
    plane.publisher.publish(snapshot(a=cluster("a")))
    stream = plane.connect("web")
    subscribe(stream)
    plane.publisher.publish(snapshot(a=cluster("a", "2s")))
    assert stream.woken == 1
    plane.publisher.publish(snapshot(a=cluster("a", "2s")))
    assert stream.woken == 1
    assert plane.publisher.change == 3


def test_a_stream_that_is_selected_differently_ends_and_gets_its_own_view_when_it_is_back(plane):
    plane.publisher.publish(snapshot(a=cluster("a")))
    plane.connect("web")
    plane.connect("web")
    moved = plane.connect("api")
    plane.publisher.publish(snapshot(a=cluster("a"), b=f"nodes: {{node_id: web}}\n{cluster('b')}"))
    assert moved.ended == [(Fault.UNAVAILABLE, MOVED)]
    plane.fleet.closed(moved)
    again = plane.connect("api")
    assert set(again.session.view.records(names.CLUSTER)) == {"a"}


def test_status_tells_acknowledged_sent_and_current_of_each_type(plane):
    plane.publisher.publish(snapshot(a=cluster("a")))
    stream = plane.connect("web")
    subscribe(stream)
    plane.now += 5
    (node,) = plane.nodes()
    assert (node["streams"], node["connected_s"], node["user_agent"]) == (1, 5.0, "envoy/1.40.0")
    (cds,) = node["types"]
    assert cds["type"] == "CDS"
    assert cds["acked"] == cds["current"] != ""
    plane.publisher.publish(snapshot(a=cluster("a", "2s")))
    (cds,) = plane.nodes()[0]["types"]
    assert cds["acked"] != cds["current"]
    assert cds["commit_acked"] < cds["commit_current"]


def test_streams_of_one_node_are_one_entry(plane):
    plane.publisher.publish(snapshot(a=cluster("a")))
    first = plane.connect("web")
    plane.now += 1
    subscribe(plane.connect("web"))
    (node,) = plane.nodes()
    assert node["streams"] == 2
    assert [one["type"] for one in node["types"]] == ["CDS"]
    plane.fleet.closed(first)
    assert plane.nodes()[0]["streams"] == 1


def test_a_rejection_is_kept_with_who_what_where_and_the_sentence(plane, caplog):
    plane.publisher.publish(snapshot(a=cluster("a")))
    stream = plane.connect("web", spiffe="spiffe://td.test/cp/node/web")
    subscribe(stream)
    plane.publisher.publish(snapshot(a=cluster("a", "2s")))
    with caplog.at_level(logging.WARNING):
        reject(plane, stream, "Error adding/updating cluster(s) a: it is bad")
    plane.now += 3
    (entry,) = status.rejections_json(plane.fleet.rejections.newest_first(), plane.now)
    assert entry["node"] == "web"
    assert entry["spiffe_id"] == "spiffe://td.test/cp/node/web"
    assert entry["type"] == "CDS"
    assert entry["names"] == ["a"]
    assert entry["source"] == "a.yaml:2"
    assert entry["message"] == "Error adding/updating cluster(s) a: it is bad"
    assert entry["age_s"] == 3.0
    assert [record.getMessage() for record in caplog.records] == ["rejected"]
    (cds,) = plane.nodes()[0]["types"]
    assert cds["rejection"]["message"] == entry["message"]


def test_rejections_are_bounded_in_memory_and_in_the_log(plane, caplog):
    plane.publisher.publish(snapshot(a=cluster("a")))
    stream = plane.connect("web")
    rejections = [SimpleNamespace(type_url=names.CLUSTER, version="", nonce="", names=(), sources=(), message="no")]
    stream.session = SimpleNamespace(take_rejections=lambda: rejections, view=stream.session.view)
    with caplog.at_level(logging.INFO):
        for _ in range(HISTORY_MAX + 10):
            plane.fleet.rejected(stream)
    assert len(plane.fleet.rejections.newest_first()) == HISTORY_MAX
    assert plane.fleet.rejections.totals == {names.CLUSTER: HISTORY_MAX + 10}
    assert len([record for record in caplog.records if record.getMessage() == "rejected"]) == LOGGED_MAX
    caplog.clear()
    plane.publisher.publish(snapshot(a=cluster("a", "2s")))
    with caplog.at_level(logging.WARNING):
        plane.fleet.rejected(stream)
    assert [record.getMessage() for record in caplog.records] == ["rejected"]


def test_problems_are_logged_once_and_said_to_be_over(plane, caplog):
    plane.publisher.publish(snapshot(a=cluster("a")))
    problem = Problem("a.yaml", "is wrong", 3)
    with caplog.at_level(logging.INFO):
        plane.publisher.report((problem,))
        plane.publisher.report((problem,))
        plane.publisher.report(())
        plane.publisher.report(())
    assert [record.getMessage() for record in caplog.records] == [
        "resources refused",
        "the last good state stays live",
        "the resources are in order again",
    ]
    assert plane.readiness.refusal() is None


def test_problems_before_the_first_good_state_are_the_reason_for_not_being_ready(plane):
    plane.publisher.report((Problem("a.yaml", "is wrong", 3),))
    assert "a.yaml:3: is wrong" in plane.readiness.reason()
    assert "a.yaml" not in plane.readiness.refusal()


def test_what_a_client_rejected_is_sent_again_after_it_reconnects(plane):
    """It reports the version before, and may hold the one that it refused (facts A2)."""
    spiffe = "spiffe://td.test/cp/node/web"
    plane.publisher.publish(snapshot(a=cluster("one")))
    stream = plane.connect("web", spiffe=spiffe)
    subscribe(stream)
    held = stream.session.view.get(names.CLUSTER, "one").version
    plane.publisher.publish(snapshot(a=cluster("one", "9s")))
    reject(plane, stream, "no")
    plane.publisher.publish(snapshot(a=cluster("one")))
    plane.fleet.closed(stream)
    again = plane.connect("web", spiffe=spiffe)
    reported = {"one": held}
    reply = again.session.on_request(request(resource_names_subscribe=["*"], initial_resource_versions=reported))
    assert [record.name for record in reply.manifest.changed] == ["one"]
    another = plane.connect("api", spiffe="spiffe://td.test/cp/node/api")
    silent = another.session.on_request(request(resource_names_subscribe=["*"], initial_resource_versions=reported))
    assert silent is None or not silent.manifest.changed
