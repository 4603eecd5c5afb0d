"""Make before break on one stream: what waits for which acknowledgement, and for how long."""

from __future__ import annotations

import pytest
from fakes.protocol import (
    Client,
    Delta,
    DeltaClient,
    Detail,
    Response,
    Sotw,
    SotwClient,
    cluster,
    resource,
    settle,
    view_of,
)

from xds.engine import ordering
from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE, SHORT

KINDS = [SotwClient, DeltaClient]
WATCHED = {CLUSTER: [], ENDPOINT: ["x", "y"], LISTENER: [], ROUTE: ["r"]}


def world() -> View:
    """Cluster x, and a route to it."""
    return view_of(
        cluster("x"),
        resource(ENDPOINT, "x"),
        resource(LISTENER, "l", children=[(ROUTE, "r")]),
        resource(ROUTE, "r", "x"),
    )


def connected(
    kind: type[SotwClient | DeltaClient], view: View, types: tuple[str, ...] = tuple(WATCHED)
) -> SotwClient | DeltaClient:
    """A client as Envoy is: everything asked for and acknowledged."""
    client = kind(view)
    for type_url in types:
        settle(client, client.ask(type_url, WATCHED[type_url]))
    return client


def swap(view: View) -> None:
    """One commit: cluster y instead of x, and the route to it."""
    view.apply(
        [cluster("y"), resource(ENDPOINT, "y"), resource(LISTENER, "l", "2"), resource(ROUTE, "r", "y")],
        [(CLUSTER, "x"), (ENDPOINT, "x")],
    )


def kinds(responses: list[Response]) -> list[str]:
    return [SHORT[response.type_url] for response in responses]


def test_c070_the_order_is_one_tuple() -> None:
    order = [type_url for type_url in ordering.ORDER if type_url in WATCHED]
    assert order == [CLUSTER, ENDPOINT, LISTENER, ROUTE]
    assert sorted(["?", *reversed(ordering.ORDER)], key=ordering.rank) == [*ordering.ORDER, "?"]


@pytest.mark.parametrize("kind", KINDS)
def test_c070_one_commit_goes_out_in_order_whatever_the_order_of_subscription(
    kind: type[SotwClient | DeltaClient],
) -> None:
    view = world()
    client = connected(kind, view, (ROUTE, LISTENER, ENDPOINT, CLUSTER))
    swap(view)
    assert kinds(settle(client, client.pull()))[:4] == ["CDS", "EDS", "LDS", "RDS"]


@pytest.mark.parametrize("kind", KINDS)
def test_c071_c072_listeners_and_routes_wait_for_clusters_and_endpoints_which_wait_for_nothing(
    kind: type[SotwClient | DeltaClient],
) -> None:
    view = world()
    client = connected(kind, view)
    assert client.session.held is None
    swap(view)
    clusters, endpoints = client.pull()
    assert kinds([clusters, endpoints]) == ["CDS", "EDS"], "endpoints do not wait for the clusters' acknowledgement"
    assert client.session.held == view.commit
    assert client.ack(endpoints) == [], "Envoy withholds the clusters' acknowledgement while they warm"
    listeners, routes = client.ack(clusters)
    assert kinds([listeners, routes]) == ["LDS", "RDS"]


@pytest.mark.parametrize("kind", KINDS)
def test_c071_listeners_and_routes_wait_for_endpoints_too(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    swap(view)
    clusters, endpoints = client.pull()
    assert client.ack(clusters) == []
    assert kinds(client.ack(endpoints)) == ["LDS", "RDS"]


@pytest.mark.parametrize("kind", KINDS)
def test_c073_a_removal_comes_last(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    swap(view)
    clusters, endpoints = client.pull()
    if kind is SotwClient:
        assert clusters.names == ["x", "y"], "old and new together"
    else:
        assert (clusters.names, clusters.removed) == (["y"], ())
    client.ack(endpoints)
    listeners, routes = client.ack(clusters)
    assert client.ack(listeners) == []
    (removal,) = client.ack(routes)
    assert removal.type_url == CLUSTER
    if kind is SotwClient:
        assert removal.names == ["y"]
        assert removal.version == view.version(CLUSTER) != clusters.version
        assert client.ack(removal) == []
    else:
        assert (removal.names, removal.removed) == ([], ("x",))
        (rest,) = client.ack(removal)
        assert (rest.type_url, rest.removed) == (ENDPOINT, ("x",)), "children after their parents (conformance 89)"
        assert client.ack(rest) == []
    assert client.session.held is None


@pytest.mark.parametrize("kind", KINDS)
def test_c073_without_users_a_removal_goes_at_once(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view, (CLUSTER,))
    view.apply([cluster("y")], [(CLUSTER, "x")])
    (response,) = client.pull()
    assert response.names == ["y"]
    assert response.removed == (() if kind is SotwClient else ("x",))


@pytest.mark.parametrize("kind", KINDS)
def test_c073_a_name_that_exists_again_is_not_removed(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    swap(view)
    waiting = client.pull()
    view.apply([cluster("x", "again")], ())
    for response in settle(client, waiting):
        if response.type_url == CLUSTER:
            assert "x" not in response.removed
    assert client.session.status()[0].acked_commit == view.commit
    assert client.session.status()[0].acked_version == view.version(CLUSTER)


def test_c073_removed_twice_is_removed_when_the_second_may_pass() -> None:
    view = world()
    client = connected(DeltaClient, view)
    swap(view)
    clusters, endpoints = client.pull()
    view.apply([cluster("x", "2"), resource(ROUTE, "r", "x again")], ())
    view.apply([resource(ROUTE, "r", "y again")], [(CLUSTER, "x")])
    client.ack(endpoints)
    listeners, routes = client.ack(clusters)
    client.ack(listeners)
    (removal,) = client.ack(routes)
    assert (removal.type_url, removal.removed) == (CLUSTER, ("x",))


def test_c073_asking_for_a_name_does_not_make_its_removal_come_first() -> None:
    view = world()
    client = connected(DeltaClient, view)
    swap(view)
    clusters, endpoints = client.pull()
    assert client.ask(CLUSTER, ["x"]) == []
    client.ack(endpoints)
    listeners, routes = client.ack(clusters)
    client.ack(listeners)
    assert client.ack(routes)[0].removed == ("x",)


@pytest.mark.parametrize("kind", KINDS)
def test_c073_a_named_cluster_that_exists_again_is_never_withdrawn(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = kind(view)
    settle(client, client.ask(CLUSTER, ["x"]))
    settle(client, client.ask(ROUTE, ["r"]))
    view.apply([resource(ROUTE, "r", "2")], [(CLUSTER, "x")])
    (routes,) = client.pull()
    view.apply([cluster("x")], ())
    (clusters,) = client.pull()
    assert (clusters.names, clusters.removed) == (["x"], ())
    client.ack(clusters)
    assert client.ack(routes) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_listener_that_takes_over_an_address_comes_with_the_removal_of_the_old_one(
    kind: type[SotwClient | DeltaClient],
) -> None:
    view = world()
    client = connected(kind, view)
    view.apply([cluster("y"), resource(LISTENER, "l2")], [(LISTENER, "l")])
    (clusters,) = client.pull()
    (listeners,) = client.ack(clusters)
    assert listeners.names == ["l2"]
    assert listeners.removed == (() if kind is SotwClient else ("l",))


@pytest.mark.parametrize("kind", KINDS)
def test_c074_a_rejected_route_keeps_its_cluster(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    swap(view)
    clusters, endpoints = client.pull()
    client.ack(endpoints)
    listeners, routes = client.ack(clusters)
    client.ack(listeners)
    assert client.nack(routes) == [], "the old route still uses x"
    assert client.session.held is None, "time does not cure that"
    view.apply([cluster("z")], ())
    settled = settle(client, client.pull())
    assert all("x" in response.names or kind is DeltaClient for response in settled)
    assert all("x" not in response.removed for response in settled)
    view.apply([resource(ROUTE, "r", "better")], ())
    settled = settle(client, client.pull())
    assert kinds(settled)[:2] == ["RDS", "CDS"]
    assert settled[-1 if kind is SotwClient else 1].removed == (() if kind is SotwClient else ("x",))
    assert "x" not in settled[1].names


@pytest.mark.parametrize("kind", KINDS)
def test_c075_time_opens_the_gate(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    swap(view)
    client.pull()
    assert kinds(client.release()) == ["LDS", "RDS"]
    assert client.session.held == view.commit, "now the removals wait"
    removals = client.release()
    if kind is SotwClient:
        assert (kinds(removals), removals[0].names) == (["CDS"], ["y"])
    else:
        assert [(response.type_url, response.removed) for response in removals] == [
            (CLUSTER, ("x",)),
            (ENDPOINT, ("x",)),
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_c075_a_release_opens_nothing_newer(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    view.apply([cluster("y"), resource(ROUTE, "r", "y")], ())
    (clusters,) = client.pull()
    held = client.session.held
    assert kinds(client.release()) == ["RDS"]
    assert not client.session.release(held), "nothing more waits for that"
    settle(client, client.ack(clusters))
    view.apply([cluster("z"), resource(ROUTE, "r", "z")], ())
    assert kinds(client.pull()) == ["CDS"]
    assert client.session.held == view.commit > held


@pytest.mark.parametrize("kind", KINDS)
def test_c075_changes_without_end_hold_a_listener_for_one_time_out_only(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    first = view.commit + 1
    view.apply([cluster("q", "0"), resource(LISTENER, "l", "0")], ())
    (clusters,) = client.pull()
    for word in "abcdefgh":
        view.apply([cluster("q", word), resource(LISTENER, "l", word)], ())
        (clusters,) = client.ack(clusters)
        assert clusters.type_url == CLUSTER
        assert client.session.held == first, "the oldest change says how long it has waited"
    (listeners,) = client.release()
    assert listeners.resources["l"] == resource(LISTENER, "l", "h").body


@pytest.mark.parametrize("kind", KINDS)
def test_first_answers_wait_for_nothing(kind: type[SotwClient | DeltaClient]) -> None:
    client = kind(world())
    for type_url, names in WATCHED.items():
        (response,) = client.ask(type_url, names)
        assert response.type_url == type_url


def test_a_new_name_is_answered_while_changes_of_its_type_wait() -> None:
    view = world()
    client = connected(DeltaClient, view)
    view.apply([cluster("y"), resource(ROUTE, "r", "y"), resource(ROUTE, "r2", "x")], ())
    (clusters,) = client.pull()
    (routes,) = client.ask(ROUTE, ["r2"])
    assert routes.names == ["r2"]
    client.ack(routes)
    (routes,) = client.ack(clusters)
    assert routes.names == ["r"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_rejection_of_the_clusters_is_an_answer(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    view.apply([cluster("y"), resource(ROUTE, "r", "y")], ())
    (clusters,) = client.pull()
    assert kinds(client.nack(clusters)) == ["RDS"]


@pytest.mark.parametrize("kind", KINDS)
def test_an_acknowledgement_of_something_later_satisfies(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    view.apply([cluster("y")], ())
    (earlier,) = client.pull()
    view.apply([cluster("y", "2"), resource(ROUTE, "r", "y")], ())
    assert client.pull() == []
    (later,) = client.ack(earlier)
    assert kinds([later]) == ["CDS"]
    assert kinds(client.ack(later)) == ["RDS"]


@pytest.mark.parametrize("kind", KINDS)
def test_clusters_of_a_later_commit_hold_up_nothing(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    view.apply([resource(ROUTE, "r", "2")], ())
    (routes,) = client.pull()
    view.apply([resource(ROUTE, "r", "3")], ())
    view.apply([cluster("y")], ())
    (clusters,) = client.pull()
    assert kinds([clusters]) == ["CDS"]
    assert kinds(client.ack(routes)) == ["RDS"]


def test_a_change_that_came_to_nothing_holds_up_no_removal() -> None:
    view = world()
    client = SotwClient(view)
    settle(client, client.ask(CLUSTER))
    settle(client, client.ask(ROUTE, ["*"]))
    view.apply([resource(ROUTE, "r", "2")], ())
    (routes,) = client.pull()
    view.apply([resource(ROUTE, "short-lived")], [(CLUSTER, "x")])
    view.apply([], [(ROUTE, "short-lived")])
    assert client.pull() == []
    reply = client.session.on_request(Sotw(ROUTE, ["*"], routes.version, routes.nonce))
    assert reply is not None
    assert reply.type_url == CLUSTER


def test_clusters_asked_for_and_not_sent_yet_hold_up_routes() -> None:
    view = world()
    client = DeltaClient(view)
    (clusters,) = client.ask(CLUSTER, ["x"])
    settle(client, client.ask(ROUTE, ["r"]))
    assert client.ask(CLUSTER, ["*"]) == []
    view.apply([resource(ROUTE, "r", "2")], ())
    assert client.pull() == []
    (clusters,) = client.ack(clusters)
    assert kinds(client.ack(clusters)) == ["RDS"]


# ----- clusters and endpoints


@pytest.mark.parametrize("kind", KINDS)
def test_c082_endpoints_follow_a_changed_cluster_unasked(kind: type[SotwClient | DeltaClient]) -> None:
    view = view_of(cluster("x", eds="e"), resource(ENDPOINT, "e"))
    client = kind(view)
    settle(client, client.ask(CLUSTER))
    settle(client, client.ask(ENDPOINT, ["e"]))
    view.apply([cluster("x", "2", eds="e")], ())
    clusters, endpoints = client.pull()
    assert (clusters.names, endpoints.names) == (["x"], ["e"])
    if kind is SotwClient:
        again = Sotw(ENDPOINT, ["e"], endpoints.version, client.last[ENDPOINT].nonce)
        assert client.send(again) == [], "Envoy repeats its request; that is no new one"


@pytest.mark.parametrize("kind", KINDS)
def test_c083_also_if_another_cluster_had_subscribed_them(kind: type[SotwClient | DeltaClient]) -> None:
    view = view_of(cluster("x", eds="shared"), resource(ENDPOINT, "shared"))
    client = kind(view)
    settle(client, client.ask(CLUSTER))
    settle(client, client.ask(ENDPOINT, ["shared"]))
    view.apply([cluster("y", eds="shared")], ())
    assert kinds(client.pull()) == ["CDS", "EDS"]


@pytest.mark.parametrize("kind", KINDS)
def test_c082_only_the_endpoints_of_clusters_that_changed(kind: type[SotwClient | DeltaClient]) -> None:
    view = view_of(*(cluster(name) for name in "xyz"), *(resource(ENDPOINT, name) for name in "xy"))
    client = kind(view)
    settle(client, client.ask(CLUSTER))
    settle(client, client.ask(ENDPOINT, ["*"]))
    view.apply([cluster("x", "2"), cluster("z", "2")], ())
    clusters, endpoints = client.pull()
    assert endpoints.names == ["x"]
    assert settle(client, [clusters, endpoints])[2:] == []


@pytest.mark.parametrize("kind", KINDS)
def test_c082_not_on_a_stream_that_asked_for_no_endpoints(kind: type[SotwClient | DeltaClient]) -> None:
    view = view_of(cluster("x"), resource(ENDPOINT, "x"), resource(ENDPOINT, "other"))
    client = kind(view)
    settle(client, client.ask(CLUSTER))
    view.apply([cluster("x", "2")], ())
    assert kinds(settle(client, client.pull())) == ["CDS"]
    settle(client, client.ask(ENDPOINT, ["other"]))
    view.apply([cluster("x", "3")], ())
    assert kinds(settle(client, client.pull())) == ["CDS"], "a client asks for endpoints that are new to it"


@pytest.mark.parametrize("kind", KINDS)
def test_c087_endpoints_never_before_their_cluster(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client = connected(kind, view)
    view.apply([resource(ENDPOINT, "y"), cluster("y")], ())
    assert kinds(client.pull()) == ["CDS", "EDS"]


# ----- clients that do not answer


@pytest.mark.parametrize("kind", KINDS)
def test_c075_an_unanswered_response_does_not_hold_up_its_cure_for_ever(
    kind: type[SotwClient | DeltaClient],
) -> None:
    # Envoy withholds the acknowledgement while a cluster cannot warm, and applies the next response (facts 10).
    view = world()
    client = connected(kind, view)
    view.apply([cluster("x", "waits for a secret that never comes")], ())
    stuck, _ = client.pull()
    view.apply([cluster("x", "cured")], ())
    assert client.pull() == []
    (cure, *_) = client.release()
    assert cure.type_url == CLUSTER
    assert client.ack(stuck) == []
    assert client.session.status()[0].in_flight, "an acknowledgement of the older response says nothing of the cure"
    client.ack(cure)
    assert not client.session.status()[0].in_flight


@pytest.mark.parametrize("kind", KINDS)
def test_c075_a_response_that_nobody_waits_for_is_dropped_unanswered(kind: type[SotwClient | DeltaClient]) -> None:
    view = world()
    client: Client = connected(kind, view)
    view.apply([resource(ENDPOINT, "x", "2")], ())
    client.pull()
    if kind is SotwClient:
        client.send(Sotw(ENDPOINT, []))
        responses = client.send(Sotw(ENDPOINT, ["x"]))
    else:
        client.send(Delta(ENDPOINT, (), ["x", "y"]))
        responses = client.send(Delta(ENDPOINT, ["x"]))
    assert [response.names for response in responses] == [["x"]]


def test_rejections_of_stale_responses_are_told_and_have_no_effect() -> None:
    view = world()
    client = connected(DeltaClient, view)
    client.send(Delta(CLUSTER, response_nonce="never sent", error_detail=Detail(3, "what")))
    (rejection,) = client.session.take_rejections()
    assert (rejection.nonce, rejection.version, rejection.names, rejection.message) == ("never sent", "", (), "what")
    assert client.session.take_rejections() == []
    assert client.session.status()[0].rejection is None
