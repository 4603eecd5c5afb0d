"""A stream's life, its limits, and what operators see of it."""

from __future__ import annotations

import gc
import weakref

import pytest
from fakes.protocol import Delta, DeltaClient, Sotw, SotwClient, cluster, resource, settle, view_of

from xds.engine.events import TypeStatus
from xds.engine.session import TYPES_MAX, Session
from xds.engine.view import View
from xds.errors import Fault, PeerError
from xds.limits import NAME_BYTES_MAX, NAMES_MAX
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET

KINDS = [SotwClient, DeltaClient]
Kind = type[SotwClient | DeltaClient]


@pytest.mark.parametrize("kind", KINDS)
def test_c006_streams_of_one_node_are_independent(kind: Kind) -> None:
    view = view_of(cluster("A"))
    one, other = kind(view), kind(view)
    (first,) = one.ask(CLUSTER)
    other.ask(CLUSTER)
    one.ack(first)
    assert [client.session.status()[0].in_flight for client in (one, other)] == [False, True]
    one.session.close()
    assert list(view.sessions) == [other.session]
    assert view.apply([cluster("A", "2")], ()) == [other.session]


@pytest.mark.parametrize("kind", KINDS)
def test_c007_a_nonce_of_an_earlier_stream_is_an_initial_request(kind: Kind) -> None:
    client = kind(view_of(cluster("A")))
    (response,) = client.ask(CLUSTER, nonce="of an earlier stream")
    assert response.names == ["A"]


def test_c009_types_are_walled_off() -> None:
    client = DeltaClient(view_of(cluster("A"), resource(LISTENER, "L")))
    (clusters,) = client.ask(CLUSTER)
    (listeners,) = client.ask(LISTENER)
    assert clusters.nonce != listeners.nonce
    client.send(Delta(LISTENER, response_nonce=clusters.nonce))
    assert [status.in_flight for status in client.session.status()] == [True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_c010_c011_a_closed_stream_leaves_nothing_behind(kind: Kind) -> None:
    view = view_of(cluster("A"))
    for type_url, names in [(CLUSTER, []), (ENDPOINT, ["A", "B"]), ("example/Unheard", ["C"]), (ROUTE, [])] * 3:
        client = kind(view)
        client.ask(type_url, names)
        client.session.close()
        assert client.session.next_reply() is None
        assert client.session.on_request(Sotw(CLUSTER)) is None
    assert (list(view.sessions), list(view.types)) == ([], [CLUSTER])
    shelf = view.shelf(CLUSTER)
    assert (shelf.index, shelf.wildcards, shelf.readers, shelf.changes.items) == ({}, {}, 0, [])


def test_c011_a_stream_is_in_no_reference_cycle_once_closed() -> None:
    class Watched(Session):
        __slots__ = ("__weakref__",)

    view = view_of(cluster("A"))
    session = Watched(view, delta=True, allowed=None)
    session.on_request(Delta(CLUSTER))
    gone = weakref.ref(session)
    session.close()
    gc.disable()
    try:
        del session
        assert gone() is None
    finally:
        gc.enable()


def test_c011_ten_thousand_streams_come_and_go() -> None:
    view = view_of(cluster("A"), resource(ENDPOINT, "A"))

    def cycle() -> None:
        session = Session(view, delta=True, allowed=None)
        session.on_request(Delta(CLUSTER))
        session.on_request(Delta(ENDPOINT, ["A", "Z"]))
        view.apply([cluster("A", "2"), cluster("A", "3")], ())
        session.next_reply()
        session.close()

    cycle()
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for _ in range(10_000):
            cycle()
        assert len(gc.get_objects()) - before < 100
    finally:
        gc.enable()


def test_an_empty_subscription_of_a_type_outlives_the_last_other_one() -> None:
    view = View()
    one, other = DeltaClient(view), DeltaClient(view)
    one.ask(ENDPOINT)
    other.ask(ENDPOINT, ["A"])
    other.session.close()
    settle(one, one.ask(ENDPOINT, ["A"]))
    view.apply([resource(ENDPOINT, "A")], ())
    assert one.pull()[0].names == ["A"]


def test_c015_the_identifier_is_in_every_response() -> None:
    for kind in KINDS:
        client = kind(view_of(cluster("A")), identifier="legation-1")
        assert client.ask(CLUSTER)[0].identifier == "legation-1"


@pytest.mark.parametrize("kind", KINDS)
def test_c100_a_stream_of_one_type(kind: Kind) -> None:
    request = Sotw if kind is SotwClient else Delta
    client = kind(view_of(cluster("A")), allowed=frozenset({CLUSTER}))
    (response,) = client.send(request(""))
    assert response.type_url == CLUSTER
    client.send(request("", response_nonce=response.nonce))
    assert not client.session.status()[0].in_flight
    with pytest.raises(PeerError) as caught:
        client.send(request(LISTENER))
    assert caught.value.fault is Fault.INVALID


def test_c100_a_type_is_needed_on_a_stream_of_all() -> None:
    for allowed in (None, frozenset({CLUSTER, LISTENER})):
        with pytest.raises(PeerError) as caught:
            SotwClient(View(), allowed=allowed).send(Sotw(""))
        assert caught.value.fault is Fault.INVALID


def test_c100_too_much_is_refused() -> None:
    client = DeltaClient(View())
    with pytest.raises(PeerError) as caught:
        client.ask(CLUSTER, ["x" * (NAME_BYTES_MAX + 1)])
    assert caught.value.fault is Fault.EXHAUSTED
    client = DeltaClient(View())
    with pytest.raises(PeerError) as caught:
        client.ask(CLUSTER, [str(n) for n in range(NAMES_MAX + 1)])
    assert caught.value.fault is Fault.EXHAUSTED
    client = DeltaClient(View())
    for number in range(TYPES_MAX):
        client.ask(f"example/{number}")
    with pytest.raises(PeerError) as caught:
        client.ask("example/one more")
    assert caught.value.fault is Fault.EXHAUSTED


@pytest.mark.parametrize("kind", KINDS)
def test_c100_an_unknown_type_is_no_error(kind: Kind) -> None:
    client = kind(View())
    responses = client.ask("example/Unheard", ["A"])
    assert [response.removed for response in responses] == ([] if kind is SotwClient else [("A",)])


@pytest.mark.parametrize("kind", KINDS)
def test_status_says_what_was_sent_and_what_is_acknowledged(kind: Kind) -> None:
    view = view_of(cluster("A"))
    client = kind(view)
    (first,) = client.ask(CLUSTER)
    (status,) = client.session.status()
    assert status == TypeStatus(
        type_url=CLUSTER,
        wildcard=True,
        names=0,
        sent_version=first.version,
        acked_version="",
        sent_commit=1,
        acked_commit=0,
        in_flight=True,
    )
    client.ack(first)
    view.apply([cluster("A", "2")], ())
    (status,) = client.session.status()
    assert (status.sent_commit, status.acked_commit, status.acked_version) == (1, 1, first.version)
    (second,) = client.pull()
    (status,) = client.session.status()
    assert (status.sent_commit, status.acked_commit) == (2, 1)
    client.ack(second)
    (status,) = client.session.status()
    assert (status.sent_commit, status.acked_commit, status.acked_version) == (2, 2, view.version(CLUSTER))
    view.apply([resource(ROUTE, "of no interest")], ())
    assert client.session.status()[0].acked_commit == view.commit == 3


def test_status_counts_a_removal_that_waits() -> None:
    view = view_of(cluster("A"), resource(ROUTE, "r"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER))
    settle(client, client.ask(ROUTE, ["r"]))
    view.apply([resource(ROUTE, "r", "2")], [(CLUSTER, "A")])
    (routes,) = client.pull()
    clusters, _ = client.session.status()
    assert (clusters.sent_commit, clusters.acked_commit) == (1, 1)
    settle(client, client.ack(routes))
    clusters, _ = client.session.status()
    assert (clusters.sent_commit, clusters.acked_commit) == (2, 2)


def test_status_counts_a_rejection() -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER))
    view.apply([cluster("A", "bad")], ())
    client.nack(client.pull()[0])
    (status,) = client.session.status()
    assert (status.sent_commit, status.acked_commit, status.parked, status.in_flight) == (2, 1, ("A",), False)


def test_nothing_is_held_in_a_quiet_stream() -> None:
    view = view_of(cluster("A"), resource(SECRET, "s"))
    client = DeltaClient(view)
    assert client.session.held is None
    assert not client.session.release(5)
    settle(client, client.ask(CLUSTER))
    assert client.session.held is None
