"""Rejections: what is parked, what flows on, what operators are told."""

from __future__ import annotations

import pytest
from fakes.protocol import Delta, DeltaClient, Detail, Sotw, SotwClient, cluster, resource, settle, view_of

from xds.engine.events import Rejection
from xds.engine.view import View
from xds.limits import ERROR_DETAIL_CHARS_MAX
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE

KINDS = [SotwClient, DeltaClient]
Kind = type[SotwClient | DeltaClient]


def started(kind: Kind, view: View, type_url: str, names: list[str]) -> SotwClient | DeltaClient:
    client = kind(view)
    settle(client, client.ask(type_url, names))
    return client


def test_c076_an_old_version_is_no_rejection() -> None:
    view = view_of(cluster("A"))
    client = SotwClient(view)
    (response,) = client.ask(CLUSTER)
    assert client.send(Sotw(CLUSTER, [], "older", response.nonce)) == []
    assert client.session.rejections == []
    assert client.session.status()[0].acked_version == response.version


def test_c076_error_detail_is_one_whatever_it_says() -> None:
    client = DeltaClient(view_of(cluster("A")))
    (response,) = client.ask(CLUSTER)
    client.send(Delta(CLUSTER, response_nonce=response.nonce, error_detail=Detail(0, "")))
    assert len(client.session.rejections) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_url", [CLUSTER, LISTENER, ROUTE, ENDPOINT])
@pytest.mark.parametrize("names", [["*"], ["A", "B"]])
def test_c077_what_was_rejected_is_not_sent_again(kind: Kind, type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(kind, view, type_url, names)
    view.apply([resource(type_url, "A", "bad")], ())
    (response,) = client.pull()
    assert client.nack(response) == []
    for _ in range(3):
        assert client.nack(response) == [], "a client that repeats itself"
    assert client.pull() == []


@pytest.mark.parametrize("kind", KINDS)
def test_c077_the_cure_is_sent_at_once(kind: Kind) -> None:
    view = view_of(cluster("A"))
    client = started(kind, view, CLUSTER, [])
    view.apply([cluster("A", "bad")], ())
    client.nack(client.pull()[0])
    view.apply([cluster("A", "good")], ())
    (response,) = client.pull()
    assert response.resources == {"A": cluster("A", "good").body}
    client.ack(response)
    (status,) = client.session.status()
    assert (status.parked, status.rejection, status.acked_commit) == ((), None, view.commit)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_url", [CLUSTER, ROUTE])
def test_c077_back_to_what_was_rejected_before_anything_else_was_sent(kind: Kind, type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    client = started(kind, view, type_url, ["*"])
    view.apply([resource(type_url, "A", "bad")], ())
    client.nack(client.pull()[0])
    view.apply([resource(type_url, "A", "other")], ())
    view.apply([resource(type_url, "A", "bad")], ())
    assert client.pull() == []
    assert client.session.held is None


@pytest.mark.parametrize("kind", KINDS)
def test_c077_a_client_that_asks_again_is_answered(kind: Kind) -> None:
    view = view_of(resource(ROUTE, "A"))
    client = kind(view)
    (response,) = client.ask(ROUTE, ["A"])
    client.nack(response)
    if kind is SotwClient:
        client.ask(ROUTE, [])
    assert client.ask(ROUTE, ["A"])[0].names == ["A"]


@pytest.mark.parametrize("kind", KINDS)
def test_c078_other_types_flow_on(kind: Kind) -> None:
    view = view_of(cluster("A"), resource(LISTENER, "L"))
    client = started(kind, view, CLUSTER, [])
    settle(client, client.ask(LISTENER))
    view.apply([cluster("A", "bad")], ())
    client.nack(client.pull()[0])
    view.apply([resource(LISTENER, "L", "2")], ())
    assert client.pull()[0].type_url == LISTENER


@pytest.mark.parametrize("kind", KINDS)
def test_c079_a_roll_back_is_sent(kind: Kind) -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = kind(view)
    (first,) = client.ask(CLUSTER)
    client.ack(first)
    view.apply([cluster("A", "bad")], ())
    (second,) = client.pull()
    client.nack(second)
    view.apply([cluster("A")], ())
    (third,) = client.pull()
    assert third.resources["A"] == first.resources["A"]
    assert third.version == first.version, "versions follow the content"
    assert third.nonce not in {first.nonce, second.nonce}


@pytest.mark.parametrize("kind", KINDS)
def test_c080_operators_are_told_what_where_and_why(kind: Kind) -> None:
    view = View()
    client = started(kind, view, CLUSTER, [])
    records = [resource(CLUSTER, name, "bad", source=f"{name}.yaml:1") for name in ("A", "B", "C")]
    view.apply(records, ())
    (response,) = client.pull()
    client.nack(response, "Error adding/updating cluster(s) B: bad, C: worse" + "!" * ERROR_DETAIL_CHARS_MAX)
    (rejection,) = client.session.take_rejections()
    assert rejection == Rejection(
        type_url=CLUSTER,
        nonce=response.nonce,
        version=response.version,
        names=("B", "C"),
        code=13,
        message=rejection.message,
        sources=("B.yaml:1", "C.yaml:1"),
    )
    assert len(rejection.message) == ERROR_DETAIL_CHARS_MAX
    assert client.session.status()[0].rejection == rejection


@pytest.mark.parametrize("kind", KINDS)
def test_c080_a_text_without_names_concerns_all_that_changed(kind: Kind) -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = started(kind, view, CLUSTER, [])
    view.apply([cluster("A", "bad")], ())
    client.nack(client.pull()[0], "malformed IP address")
    assert client.session.rejections[0].names == ("A",)


def test_c081_a_rejection_ends_no_subscription() -> None:
    view = View()
    client = DeltaClient(view)
    (response,) = client.ask(ENDPOINT, ["A"])
    client.nack(response)
    assert client.session.rejections[0].names == ("A",), "a removal can be rejected too"
    view.apply([resource(ENDPOINT, "A")], ())
    assert client.pull()[0].names == ["A"]


@pytest.mark.parametrize("kind", KINDS)
def test_good_resources_lost_with_a_bad_one_are_tried_again_once_it_is_cured(kind: Kind) -> None:
    # Of a rejected delta response Envoy keeps the routes before the bad one, of a SotW response none (facts 20).
    view = view_of(*(resource(ROUTE, name) for name in "ABCD"))
    client = started(kind, view, ROUTE, ["A", "B", "C", "D"])
    view.apply([resource(ROUTE, "A", "bad"), resource(ROUTE, "B", "2"), resource(ROUTE, "C", "bad")], ())
    client.nack(client.pull()[0])
    view.apply([resource(ROUTE, "D", "2")], ())
    assert [response.names for response in settle(client, client.pull())] == [["D"]], "the rest flows, alone"
    assert client.session.status()[0].parked == ("A", "B", "C")
    view.apply([resource(ROUTE, "A", "cured")], ())
    (cure,) = client.pull()
    assert cure.names == ["A"]
    (others,) = client.ack(cure)
    assert others.names == ["B", "C"]
    assert client.nack(others) == [], "C is still bad"
    view.apply([resource(ROUTE, "C", "cured")], ())
    (cure,) = client.pull()
    (others,) = client.ack(cure)
    assert (cure.names, others.names) == (["C"], ["B"])
    assert client.ack(others) == []
    assert client.session.status()[0].acked_commit == view.commit


@pytest.mark.parametrize("kind", KINDS)
def test_a_parked_name_that_is_removed_or_dropped_is_forgotten(kind: Kind) -> None:
    view = view_of(*(resource(ROUTE, name) for name in "ABC"))
    client = started(kind, view, ROUTE, ["A", "B", "C"])
    view.apply([resource(ROUTE, name, "bad") for name in "ABC"], ())
    client.nack(client.pull()[0])
    view.apply([], [(ROUTE, "A")])
    settle(client, client.pull())
    client.ask(ROUTE, *([["C"]] if kind is SotwClient else [[], ["B"]]))
    assert client.session.status()[0].parked == ("C",)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_url", [CLUSTER, ROUTE])
def test_back_to_what_was_rejected_after_something_else_that_was_never_answered(kind: Kind, type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(kind, view, type_url, ["*"])
    view.apply([resource(type_url, "A", "bad")], ())
    client.nack(client.pull()[0])
    view.apply([resource(type_url, "A", "other")], ())
    client.pull()
    view.apply([resource(type_url, "B", "2")], ())
    client.pull()
    (response,) = client.release()
    client.ack(response)
    view.apply([resource(type_url, "A", "bad")], ())
    assert "A" in client.pull()[0].names


def test_a_name_dropped_before_the_rejection_is_not_parked() -> None:
    client = DeltaClient(view_of(resource(ROUTE, "A"), resource(ROUTE, "B")))
    (response,) = client.ask(ROUTE, ["A", "B"])
    client.ask(ROUTE, drop=["A"])
    client.nack(response)
    assert client.session.status()[0].parked == ("B",)


def test_a_parked_name_of_a_wildcard_that_is_removed_is_forgotten() -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = started(DeltaClient, view, CLUSTER, [])
    view.apply([cluster("A", "bad"), cluster("B", "bad")], ())
    client.nack(client.pull()[0])
    view.apply([], [(CLUSTER, "A")])
    (response,) = client.pull()
    assert response.removed == ("A",)
    assert client.session.status()[0].parked == ("B",)
