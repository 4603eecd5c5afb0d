"""After a rejection nothing is lost, and nothing that would break the client is sent."""

from __future__ import annotations

import pytest
from fakes.protocol import DeltaClient, SotwClient, cluster, resource, settle, view_of

from xds.engine.record import Record, make_record
from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE, SCOPED_ROUTE

KINDS = [SotwClient, DeltaClient]
Kind = type[SotwClient | DeltaClient]


def route(name: str, to: str) -> Record:
    """A route that sends its traffic to a cluster."""
    plain = resource(ROUTE, name, to)
    return make_record(ROUTE, name, plain.body, clusters=[to])


def connected(kind: Kind, view: View) -> SotwClient | DeltaClient:
    client = kind(view)
    for type_url, names in ((CLUSTER, []), (ENDPOINT, ["x", "y"]), (LISTENER, []), (ROUTE, ["r"])):
        settle(client, client.ask(type_url, names))
    return client


def test_c081_a_removal_in_a_rejected_response_is_told_again_with_the_cure() -> None:
    view = view_of(cluster("a"), cluster("x"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER))
    view.apply([cluster("a", "bad")], [(CLUSTER, "x")])
    (response,) = client.pull()
    assert response.removed == ("x",)
    assert client.nack(response) == []
    view.apply([cluster("a", "good")], ())
    (cure,) = client.pull()
    assert (list(cure.resources), cure.removed) == (["a"], ("x",))
    client.ack(cure)
    view.apply([cluster("a", "better")], ())
    assert client.pull()[0].removed == (), "once is enough"


def test_c081_a_removal_that_was_taken_back_is_not_told() -> None:
    view = view_of(cluster("a"), cluster("x"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER))
    view.apply((), [(CLUSTER, "x")])
    client.nack(client.pull()[0])
    view.apply([cluster("x", "again")], ())
    (response,) = client.pull()
    assert (list(response.resources), response.removed) == (["x"], ())


@pytest.mark.parametrize("kind", KINDS)
def test_c071_a_route_to_a_refused_cluster_waits_and_its_old_cluster_stays(kind: Kind) -> None:
    view = view_of(cluster("x"), resource(ENDPOINT, "x"), route("r", "x"))
    client = connected(kind, view)
    view.apply([cluster("y", "bad"), resource(ENDPOINT, "y"), route("r", "y")], [(CLUSTER, "x")])
    (clusters, *_) = client.pull()
    assert clusters.type_url == CLUSTER
    sent = settle(client, client.nack(clusters, "y is bad"))
    assert [response.type_url for response in sent if response.type_url == ROUTE] == []
    assert "x" not in [name for response in sent for name in response.removed]
    client.release()
    view.apply([resource(ENDPOINT, "y", "2")], ())
    assert ROUTE not in [response.type_url for response in settle(client, client.pull())]
    view.apply([cluster("y", "good")], ())
    sent = settle(client, client.pull())
    kinds = [response.type_url for response in sent]
    assert kinds.index(CLUSTER) < kinds.index(ROUTE)
    assert client.session.status()[-1].acked_commit == view.commit


@pytest.mark.parametrize("kind", KINDS)
def test_c078_other_routes_flow_while_a_cluster_is_refused(kind: Kind) -> None:
    view = view_of(cluster("x"), route("r", "x"))
    client = connected(kind, view)
    view.apply([cluster("y", "bad")], ())
    client.nack(client.pull()[0], "y is bad")
    view.apply([make_record(ROUTE, "r", resource(ROUTE, "r", "other").body, clusters=["x"])], ())
    assert [response.type_url for response in client.pull()] == [ROUTE]


def test_a_rejection_that_comes_late_is_remembered() -> None:
    view = view_of(cluster("a"), cluster("b"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER))
    view.apply([cluster("a", "bad")], ())
    (first,) = client.pull()
    view.apply([cluster("b", "2")], ())
    assert client.pull() == []
    (second,) = client.release()
    client.nack(first)
    client.ack(second)
    (status,) = client.session.status()
    assert status.parked == ("a",)
    assert status.rejection is not None


def test_c019_scopes_are_told_as_a_whole() -> None:
    view = view_of(resource(SCOPED_ROUTE, "a"), resource(SCOPED_ROUTE, "b"))
    client = SotwClient(view)
    settle(client, client.ask(SCOPED_ROUTE, []))
    view.apply([resource(SCOPED_ROUTE, "b", "2")], ())
    assert sorted(client.pull()[0].resources) == ["a", "b"]


def test_a_rejected_resource_that_is_gone_or_not_wanted_is_no_rejection_any_more() -> None:
    view = view_of(resource(ENDPOINT, "a"), resource(ENDPOINT, "b"))
    for client in (DeltaClient(view), SotwClient(view)):
        settle(client, client.ask(ENDPOINT, ["a", "b"]))
        view.apply([resource(ENDPOINT, "a", f"bad for {client}")], ())
        client.nack(client.pull()[0])
        assert client.session.status()[0].rejection is not None
    view.apply((), [(ENDPOINT, "a")])
    assert client.session.status()[0].rejection is None
