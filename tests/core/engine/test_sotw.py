"""State of the world, on the bare session. Numbers are those of the conformance list."""

from __future__ import annotations

import pytest
from fakes.protocol import Client, DeltaClient, Sotw, SotwClient, cluster, resource, settle, view_of

from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE, RUNTIME, SCOPED_ROUTE, SECRET, VIRTUAL_HOST

FULL = [CLUSTER, LISTENER]
BY_NAME = [ROUTE, ENDPOINT]
NAMED = [*FULL, *BY_NAME]


def started(view: View, type_url: str, names: list[str]) -> SotwClient:
    """A client that has its first answer and acknowledged it."""
    client = SotwClient(view)
    settle(client, client.ask(type_url, names))
    return client


@pytest.mark.parametrize("type_url", NAMED)
def test_c016_names_are_answered_with_their_resources(type_url: str) -> None:
    client = SotwClient(view_of(*(resource(type_url, name) for name in "ABC")))
    (response,) = client.ask(type_url, ["A", "B"])
    assert response.names == ["A", "B"]
    assert response.type_url == type_url


@pytest.mark.parametrize("type_url", NAMED)
def test_c017_an_acknowledgement_is_not_answered(type_url: str) -> None:
    client = SotwClient(view_of(resource(type_url, "A")))
    (response,) = client.ask(type_url, ["A"])
    assert client.ack(response) == []
    assert client.ack(response) == []


@pytest.mark.parametrize("type_url", BY_NAME)
def test_c018_c020_a_change_brings_that_resource_only(type_url: str) -> None:
    view = view_of(*(resource(type_url, name) for name in "ABD"))
    client = started(view, type_url, ["B", "D"])
    view.apply([resource(type_url, "B", "2")], ())
    (response,) = client.pull()
    assert response.names == ["B"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c018_a_change_of_something_else_brings_nothing(type_url: str) -> None:
    view = view_of(*(resource(type_url, name) for name in "ABD"))
    client = started(view, type_url, ["B", "D"])
    assert view.apply([resource(type_url, "A", "2")], ()) == []
    assert client.pull() == []


@pytest.mark.parametrize("type_url", FULL)
@pytest.mark.parametrize("names", [[], ["*"], ["A", "B"]])
def test_c019_a_full_state_type_repeats_what_did_not_change(type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, names)
    view.apply([resource(type_url, "B", "2")], ())
    (response,) = client.pull()
    assert response.names == ["A", "B"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c021_the_version_follows_the_type_and_no_other(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(EXTENSION, "A"))
    client = SotwClient(view)
    (first,) = client.ask(type_url, ["A"])
    client.ack(first)
    view.apply([resource(EXTENSION, "A", "2")], ())
    assert first.version.startswith(view.version(type_url))
    view.apply([resource(type_url, "A", "2")], ())
    (second,) = client.pull()
    assert second.version != first.version


@pytest.mark.parametrize("type_url", NAMED)
def test_c022_a_new_name_is_answered_though_the_version_stays(type_url: str) -> None:
    client = SotwClient(view_of(resource(type_url, "A"), resource(type_url, "B")))
    (first,) = client.ask(type_url, ["A"])
    (second,) = client.ask(type_url, ["A", "B"], version=first.version)
    assert second.version == first.version
    assert second.names == (["A", "B"] if type_url in FULL else ["B"])


def test_c023_a_name_sent_unasked_is_sent_again_when_asked_for() -> None:
    view = view_of(cluster("A"), resource(ENDPOINT, "A"), resource(ENDPOINT, "B"))
    client = SotwClient(view)
    settle(client, client.ask(ENDPOINT, ["*"]))
    (response,) = client.ask(ENDPOINT, ["*", "B"])
    assert response.names == ["B"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c024_a_name_dropped_and_asked_for_again_is_sent_again(type_url: str) -> None:
    client = started(view_of(resource(type_url, "A")), type_url, ["A"])
    assert client.ask(type_url, [], version="x") == []
    (response,) = client.ask(type_url, ["A"], version=client.last[type_url].version)
    assert response.names == ["A"]


@pytest.mark.parametrize("type_url", [*BY_NAME, SECRET])
def test_c025_a_narrower_subscription_is_silent(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, ["A", "B"])
    assert client.ask(type_url, ["A"]) == []
    assert view.apply([resource(type_url, "B", "2")], ()) == []
    assert client.pull() == []


@pytest.mark.parametrize("type_url", FULL)
def test_c026_the_next_full_response_omits_dropped_names(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, ["A", "B"])
    assert client.ask(type_url, ["A"]) == []
    view.apply([resource(type_url, "A", "2")], ())
    (response,) = client.pull()
    assert response.names == ["A"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c027_of_two_requests_at_once_the_latter_counts(type_url: str) -> None:
    client = SotwClient(view_of(*(resource(type_url, name) for name in "ABC")))
    (first,) = client.ask(type_url, ["A", "C"])
    assert client.ask(type_url, ["A", "B"], nonce="") == [], "one response is in flight"
    (second,) = client.ack(first)
    assert "B" in second.names
    assert "C" not in second.names


@pytest.mark.parametrize("type_url", BY_NAME)
def test_c028_a_stale_request_is_not_answered_and_its_names_are_not_lost(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = SotwClient(view)
    (first,) = client.ask(type_url, ["A"])
    client.ack(first)
    view.apply([resource(type_url, "A", "2")], ())
    (second,) = client.pull()
    assert client.ask(type_url, ["A", "B"], version=first.version, nonce=first.nonce) == []
    (third,) = client.ack(second)
    assert third.names == ["B"]


def test_c029_a_crossing_request_is_no_rejection() -> None:
    view = view_of(resource(ENDPOINT, "foo"), resource(ENDPOINT, "bar"))
    client = SotwClient(view)
    (first,) = client.ask(ENDPOINT, ["foo"])
    client.ack(first)
    view.apply([resource(ENDPOINT, "foo", "2")], ())
    (second,) = client.pull()
    client.ask(ENDPOINT, ["foo", "bar"], version=first.version, nonce=first.nonce)
    assert client.session.rejections == []
    (third,) = client.ack(second)
    assert third.names == ["bar"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c030_what_exists_is_sent_at_once_and_the_rest_when_it_exists(type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    client = SotwClient(view)
    (first,) = client.ask(type_url, ["A", "Z"])
    assert first.names == ["A"]
    assert client.ack(first) == []
    view.apply([resource(type_url, "Z")], ())
    (second,) = client.pull()
    assert second.names == (["A", "Z"] if type_url in FULL else ["Z"])


@pytest.mark.parametrize("type_url", NAMED)
def test_c030_a_missing_name_added_later_makes_no_response(type_url: str) -> None:
    client = started(view_of(resource(type_url, "A")), type_url, ["A"])
    assert client.ask(type_url, ["A", "Z"]) == []


@pytest.mark.parametrize("type_url", NAMED)
def test_c031_doubled_names_make_no_doubled_resources(type_url: str) -> None:
    client = SotwClient(view_of(resource(type_url, "A"), resource(type_url, "B")))
    (response,) = client.ask(type_url, ["A", "*", "A", "*"])
    assert response.names == ["A", "B"]


@pytest.mark.parametrize("type_url", FULL)
def test_c033_an_empty_set_is_answered_once(type_url: str) -> None:
    client = SotwClient(View())
    (response,) = client.ask(type_url)
    assert response.resources == {}
    assert response.version != ""
    assert client.ack(response) == []


@pytest.mark.parametrize("type_url", [ROUTE, ENDPOINT, SECRET, RUNTIME, EXTENSION, VIRTUAL_HOST])
@pytest.mark.parametrize("names", [["Z"], ["*"], []])
def test_c034_no_other_type_gets_an_empty_response(type_url: str, names: list[str]) -> None:
    view = View()
    client = SotwClient(view)
    assert client.ask(type_url, names) == []
    view.apply([resource(type_url, "Z")], ())
    settle(client, client.pull())
    view.apply([], [(type_url, "Z")])
    assert client.pull() == []


@pytest.mark.parametrize("type_url", FULL)
def test_c034_names_that_do_not_exist_get_no_response(type_url: str) -> None:
    assert SotwClient(View()).ask(type_url, ["Z"]) == []


@pytest.mark.parametrize("type_url", NAMED)
def test_c035_a_reconnecting_client_gets_its_names_again(type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    (response,) = SotwClient(view).ask(type_url, ["A"], version=view.version(type_url))
    assert response.names == ["A"]


@pytest.mark.parametrize("type_url", FULL)
def test_c035_a_reconnecting_wildcard_at_the_same_version_gets_the_next_change_only(type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    client = SotwClient(view)
    assert client.ask(type_url, version=view.version(type_url)) == []
    assert client.session.status()[0].acked_version == view.version(type_url)
    view.apply([resource(type_url, "A", "2")], ())
    assert len(client.pull()) == 1


@pytest.mark.parametrize("type_url", FULL)
def test_c098_a_reconnecting_client_learns_that_what_it_held_is_gone(type_url: str) -> None:
    client = SotwClient(view_of(resource(type_url, "B")))
    (response,) = client.ask(type_url, ["A"], version="of an earlier stream")
    assert response.resources == {}
    assert client.ack(response) == []


@pytest.mark.parametrize("type_url", FULL)
def test_c035_a_client_that_held_names_only_gets_everything(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    (some,) = SotwClient(view).ask(type_url, ["A"])
    (response,) = SotwClient(view).ask(type_url, version=some.version)
    assert response.names == ["A", "B"]


def test_c035_a_client_that_rejected_something_is_not_believed() -> None:
    view = view_of(cluster("A"))
    before = SotwClient(view)
    (first,) = before.ask(CLUSTER)
    before.ack(first)
    view.apply([cluster("A", "bad")], ())
    before.nack(before.pull()[0])
    view.apply([cluster("A")], ())
    assert before.session.doubts() == {(CLUSTER, "*")}
    after = SotwClient(view, doubts=before.session.doubts())
    (response,) = after.ask(CLUSTER, version=first.version)
    assert response.version == first.version
    assert after.session.doubts() == {(CLUSTER, "*")}
    after.ack(response)
    assert after.session.doubts() == frozenset()


def test_c035_doubts_about_types_not_asked_for_are_kept() -> None:
    assert SotwClient(View(), doubts={(CLUSTER, "*")}).session.doubts() == {(CLUSTER, "*")}


@pytest.mark.parametrize("type_url", FULL)
def test_c036_an_unknown_version_gets_everything(type_url: str) -> None:
    (response,) = SotwClient(view_of(resource(type_url, "A"))).ask(type_url, version="of another replica")
    assert response.names == ["A"]


def test_c037_versions_are_equal_on_every_replica_whatever_the_history() -> None:
    left, right = View("left"), View("right")
    left.apply([cluster("A"), cluster("B", "0"), cluster("C")], ())
    left.apply([cluster("B")], [(CLUSTER, "C")])
    right.apply([cluster("B")], ())
    right.apply([cluster("A")], ())
    assert left.version(CLUSTER) == right.version(CLUSTER) != View().version(CLUSTER)


# ----- wildcard


@pytest.mark.parametrize("type_url", [CLUSTER, LISTENER, SCOPED_ROUTE])
def test_c062_a_first_request_without_names_is_a_wildcard(type_url: str) -> None:
    (response,) = SotwClient(view_of(resource(type_url, "A"), resource(type_url, "B"))).ask(type_url)
    assert response.names == ["A", "B"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c063_a_star_is_a_wildcard(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = SotwClient(view)
    (response,) = client.ask(type_url, ["*"])
    assert response.names == ["A", "B"]
    client.ack(response)
    view.apply([resource(type_url, "B", "2")], ())
    assert "B" in client.pull()[0].names


@pytest.mark.parametrize("type_url", FULL)
def test_c064_from_wildcard_to_names_to_nothing(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, [])
    settle(client, client.ask(type_url, ["*", "A"]))
    view.apply([resource(type_url, "B", "2")], ())
    assert settle(client, client.pull())[-1].names == ["A", "B"]
    assert client.ask(type_url, ["A"]) == []
    view.apply([resource(type_url, "B", "3")], ())
    assert client.pull() == []
    view.apply([resource(type_url, "A", "3")], ())
    assert settle(client, client.pull())[-1].names == ["A"]
    assert client.ask(type_url, []) == []
    assert view.apply([resource(type_url, "A", "4")], ()) == []
    assert client.pull() == []


def test_a_name_dropped_beside_a_wildcard_is_silent() -> None:
    client = started(view_of(cluster("A")), CLUSTER, ["*", "A"])
    assert client.ask(CLUSTER, ["*"]) == []


@pytest.mark.parametrize("kind", [SotwClient, DeltaClient])
def test_c066_a_new_stream_begins_with_a_wildcard_again(kind: type[SotwClient | DeltaClient]) -> None:
    view = view_of(cluster("A"), cluster("B"))
    before = kind(view)
    settle(before, before.ask(CLUSTER, ["A"]))
    before.session.close()
    assert kind(view).ask(CLUSTER)[0].names == ["A", "B"]


@pytest.mark.parametrize("type_url", [ROUTE, ENDPOINT, SECRET, RUNTIME, EXTENSION, VIRTUAL_HOST])
def test_c067_an_empty_request_of_other_types_asks_for_nothing(type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    client = SotwClient(view)
    assert client.ask(type_url) == []
    assert view.apply([resource(type_url, "A", "2")], ()) == []
    (response,) = client.ask(type_url, ["A"])
    assert response.names == ["A"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c068_the_empty_string_is_a_name_that_does_not_exist(type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    client = started(view, type_url, ["A"])
    assert client.ask(type_url, [""]) == []
    assert view.apply([resource(type_url, "A", "2")], ()) == []


# ----- deletion


@pytest.mark.parametrize("type_url", FULL)
@pytest.mark.parametrize("names", [[], ["A", "B"]])
def test_c088_a_deletion_is_absence_from_the_next_response(type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, names)
    view.apply([], [(type_url, "B")])
    (response,) = client.pull()
    assert response.names == ["A"]
    client.ack(response)
    view.apply([], [(type_url, "A")])
    (response,) = client.pull()
    assert response.names == []


@pytest.mark.parametrize("type_url", BY_NAME)
def test_c088_other_types_are_not_deleted(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, ["A", "B"])
    view.apply([], [(type_url, "B")])
    assert client.pull() == []
    view.apply([resource(type_url, "B")], ())
    (response,) = client.pull()
    assert response.names == ["B"]


def test_a_nonce_of_another_type_acknowledges_nothing() -> None:
    # The public harness answers the second type's response under the name of the first (its scenario S9).
    view = view_of(cluster("A"), resource(LISTENER, "L"))
    client: Client = SotwClient(view)
    (clusters,) = client.send(Sotw(CLUSTER))
    (listeners,) = client.send(Sotw(LISTENER))
    client.send(Sotw(CLUSTER, [], listeners.version, listeners.nonce))
    assert [status.in_flight for status in client.session.status()] == [True, True]
    client.send(Sotw(CLUSTER, [], clusters.version, clusters.nonce))
    assert [status.in_flight for status in client.session.status()] == [False, True]
