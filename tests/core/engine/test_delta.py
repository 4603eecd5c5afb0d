"""Incremental xDS, on the bare session. Numbers are those of the conformance list."""

from __future__ import annotations

import pytest
from fakes.protocol import Delta, DeltaClient, Detail, cluster, resource, settle, view_of

from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE, RUNTIME, SCOPED_ROUTE, SECRET, VIRTUAL_HOST

NAMED = [CLUSTER, LISTENER, ROUTE, ENDPOINT]
FOREIGN = "type.googleapis.com/example.Unheard"


def started(view: View, type_url: str, names: list[str]) -> DeltaClient:
    """A client that has its first answer and acknowledged it."""
    client = DeltaClient(view)
    settle(client, client.ask(type_url, names))
    return client


def held(view: View, type_url: str) -> dict[str, str]:
    """What a client holds that has everything."""
    return {name: record.version for name, record in view.records(type_url).items()}


@pytest.mark.parametrize("type_url", [*NAMED, SECRET])
def test_c038_a_name_is_answered_with_name_version_and_resource(type_url: str) -> None:
    record = resource(type_url, "A")
    (response,) = DeltaClient(view_of(record), identifier="one").ask(type_url, ["A"])
    assert response.resources == {"A": record.body}
    assert response.versions == {"A": record.version}
    assert response.identifier == "one"


@pytest.mark.parametrize("type_url", NAMED)
@pytest.mark.parametrize("names", [["*"], ["A", "B"]])
def test_c039_a_change_brings_that_resource_only(type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, names)
    view.apply([resource(type_url, "A", "2")], ())
    (response,) = client.pull()
    assert response.names == ["A"]
    assert response.version == view.version(type_url)


@pytest.mark.parametrize("type_url", NAMED)
@pytest.mark.parametrize("names", [["*"], ["A", "B"]])
def test_c040_a_deletion_is_told_and_a_new_creation_delivered(type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, names)
    view.apply([], [(type_url, "A")])
    (response,) = client.pull()
    assert (response.names, response.removed) == ([], ("A",))
    client.ack(response)
    view.apply([resource(type_url, "A")], ())
    (response,) = client.pull()
    assert (response.names, response.removed) == (["A"], ())


@pytest.mark.parametrize("type_url", [*NAMED, FOREIGN])
def test_c041_a_missing_name_is_told_at_once_and_stays_subscribed(type_url: str) -> None:
    view = View()
    client = DeltaClient(view)
    (response,) = client.ask(type_url, ["Z"])
    assert (response.names, response.removed) == ([], ("Z",))
    assert client.ack(response) == []
    if type_url != FOREIGN:
        view.apply([resource(type_url, "Z")], ())
        assert client.pull()[0].names == ["Z"]


@pytest.mark.parametrize("type_url", [*NAMED, SECRET])
@pytest.mark.parametrize("names", [["A"], ["*"], ["*", "A"]])
def test_c042_a_name_asked_for_again_is_sent_again(type_url: str, names: list[str]) -> None:
    client = started(view_of(resource(type_url, "A"), resource(type_url, "B")), type_url, names)
    (response,) = client.ask(type_url, ["A"])
    assert response.names == ["A"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c043_unsubscribing_is_silent_also_of_unknown_names(type_url: str) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = started(view, type_url, ["A", "B"])
    assert client.ask(type_url, drop=["A", "phantom"]) == []
    assert view.apply([resource(type_url, "A", "2")], ()) == []
    assert view.apply([], [(type_url, "A")]) == []
    assert client.pull() == []


@pytest.mark.parametrize("type_url", [CLUSTER, ENDPOINT])
def test_c044_a_dropped_name_is_answered_as_one_of_all(type_url: str) -> None:
    client = started(view_of(resource(type_url, "A"), resource(type_url, "B")), type_url, ["*", "A", "Z"])
    (response,) = client.ask(type_url, drop=["A"])
    assert (response.names, response.removed) == (["A"], ())
    client.ack(response)
    (response,) = client.ask(type_url, drop=["Z"])
    assert (response.names, response.removed) == ([], ("Z",))


def test_c045_subscribe_before_unsubscribe() -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view)
    assert client.ask(CLUSTER, ["*"], ["*"]) == []
    assert view.apply([cluster("A", "2")], ()) == []
    assert client.ask(CLUSTER, ["A"], ["A"]) == []
    assert client.session.status()[0].names == 0


@pytest.mark.parametrize("error", [None, Detail()])
def test_c046_c047_an_answer_may_also_subscribe(error: Detail | None) -> None:
    client = DeltaClient(view_of(cluster("A"), cluster("B")))
    (first,) = client.ask(CLUSTER, ["A"])
    (second,) = client.send(Delta(CLUSTER, ["B"], response_nonce=first.nonce, error_detail=error))
    assert second.names == ["B"]
    assert len(client.session.rejections) == (error is not None)


@pytest.mark.parametrize("nonce", ["stale", ""])
def test_c048_c049_a_stale_nonce_acknowledges_nothing_and_loses_no_name(nonce: str) -> None:
    client = DeltaClient(view_of(cluster("A"), cluster("B"), cluster("C")))
    (first,) = client.ask(CLUSTER, ["A"])
    assert client.ask(CLUSTER, ["B"], ["A"], nonce=nonce) == []
    assert client.session.status()[0].in_flight
    (second,) = client.ack(first)
    assert second.names == ["B"]
    assert client.ask(CLUSTER, nonce=first.nonce) == [], "consumed before"
    assert client.session.status()[0].in_flight


@pytest.mark.parametrize("type_url", NAMED)
@pytest.mark.parametrize("names", [["*"], ["A", "gone"]])
def test_c050_what_a_client_holds_and_is_gone_is_removed(type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"))
    (response,) = DeltaClient(view).ask(type_url, names, initial={**held(view, type_url), "gone": "1"})
    assert (response.names, response.removed) == ([], ("gone",))


@pytest.mark.parametrize("type_url", NAMED)
@pytest.mark.parametrize("names", [["*"], ["A", "B"]])
def test_c051_c052_only_what_differs_is_sent(type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"))
    client = DeltaClient(view)
    (response,) = client.ask(type_url, names, initial={**held(view, type_url), "B": "another"})
    assert response.names == ["B"]
    client.ack(response)
    view.apply([resource(type_url, "A", "2")], ())
    assert client.pull()[0].names == ["A"]


@pytest.mark.parametrize("type_url", [*NAMED, SECRET])
@pytest.mark.parametrize("names", [["*"], ["A"]])
def test_c052_a_client_that_holds_everything_hears_nothing(type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"))
    client = DeltaClient(view)
    assert client.ask(type_url, names, initial=held(view, type_url)) == []
    (status,) = client.session.status()
    assert status.acked_version == view.version(type_url)
    assert client.session.acked_version(type_url, "A") == (
        view.get(type_url, "A").version if type_url == SECRET else None
    )


def test_c052_names_that_a_client_rejected_before_are_sent_again() -> None:
    view = view_of(resource(SECRET, "default"), resource(SECRET, "ROOTCA"))
    before = DeltaClient(view)
    settle(before, before.ask(SECRET, ["default", "ROOTCA"]))
    good = held(view, SECRET)
    view.apply([resource(SECRET, "default", "bad")], ())
    before.nack(before.pull()[0])
    view.apply([resource(SECRET, "default")], ())
    after = DeltaClient(view, doubts=before.session.doubts())
    (response,) = after.ask(SECRET, ["default", "ROOTCA"], initial=good)
    assert response.names == ["default"]
    after.ack(response)
    assert after.session.doubts() == frozenset()


def test_c052_doubts_about_a_whole_type_count_in_delta_too() -> None:
    view = view_of(cluster("A"))
    (response,) = DeltaClient(view, doubts={(CLUSTER, "*")}).ask(CLUSTER, initial=held(view, CLUSTER))
    assert response.names == ["A"]


def test_c052_endpoints_of_a_cluster_sent_again_are_sent_again() -> None:
    view = view_of(cluster("A", eds="a"), cluster("B", eds="b"), resource(ENDPOINT, "a"), resource(ENDPOINT, "b"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER, initial={**held(view, CLUSTER), "A": "old"}))
    (response,) = client.ask(ENDPOINT, ["a", "b"], initial=held(view, ENDPOINT))
    assert response.names == ["a"]


def test_c052_clusters_of_a_stream_without_endpoints_are_not_remembered() -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view, allowed=frozenset({CLUSTER}))
    settle(client, client.ask(CLUSTER, initial={"A": "old"}))
    assert client.session._followers is None


def test_c053_a_name_held_and_not_subscribed_is_no_subscription() -> None:
    view = view_of(resource(ENDPOINT, "A"), resource(ENDPOINT, "B"))
    client = DeltaClient(view)
    (response,) = client.ask(ENDPOINT, ["A"], initial={"B": "1", "gone": "1"})
    assert (response.names, response.removed) == (["A"], ())
    assert view.apply([resource(ENDPOINT, "B", "2")], ()) == []


def test_c054_held_versions_in_a_later_message_are_ignored() -> None:
    view = view_of(resource(ENDPOINT, "A"), resource(ENDPOINT, "B"))
    client = started(view, ENDPOINT, ["A"])
    (response,) = client.ask(ENDPOINT, ["B"], initial={**held(view, ENDPOINT), "gone": "1"})
    assert (response.names, response.removed) == (["B"], ())


def test_c055_a_name_is_once_in_a_response() -> None:
    # Explicit names inside the wildcard set, as a reconnecting Envoy with on-demand clusters sends them (facts 22b).
    view = view_of(cluster("base"), cluster("lazy"))
    client = DeltaClient(view)
    (response,) = client.ask(CLUSTER, ["*", "gone", "lazy", "lazy", "silent"], initial={"base": "1", "gone": "1"})
    assert response.names == ["base", "lazy"]
    assert sorted(response.removed) == ["gone", "silent"]
    client.ack(response)
    client.ask(CLUSTER, ["lazy"])
    view.apply([cluster("lazy", "2"), cluster("base", "2")], ())


@pytest.mark.parametrize("type_url", [CLUSTER, LISTENER, SCOPED_ROUTE])
def test_c057_an_empty_set_is_answered_once(type_url: str) -> None:
    client = DeltaClient(View())
    (response,) = client.ask(type_url)
    assert (response.resources, response.removed) == ({}, ())
    assert client.ack(response) == []


def test_c058_versions_are_the_hash_of_the_content() -> None:
    assert cluster("A").version == cluster("A").version != cluster("A", "2").version
    assert len(cluster("A").version) == 32


@pytest.mark.parametrize("names", [["*"], ["A"]])
def test_c059_many_changes_in_flight_end_with_the_last(names: list[str]) -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER, names)
    for word in range(10):
        view.apply([cluster("A", str(word))], ())
        assert client.pull() == []
    (second,) = client.ack(first)
    assert second.resources == {"A": cluster("A", "9").body}
    assert client.ack(second) == []


@pytest.mark.parametrize("names", [["*"], ["A"]])
def test_c059_deleted_and_created_again_is_never_a_lost_deletion(names: list[str]) -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER, names)
    view.apply([], [(CLUSTER, "A")])
    view.apply([cluster("A")], ())
    (second,) = client.ack(first)
    assert (second.names, second.removed) == (["A"], ())
    view.apply([], [(CLUSTER, "A")])
    view.apply([cluster("A")], ())
    view.apply([], [(CLUSTER, "A")])
    (third,) = client.ack(second)
    assert (third.names, third.removed) == ([], ("A",))
    assert client.ack(third) == []


def test_an_answer_between_changes_that_came_to_nothing() -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER)
    view.apply([cluster("B")], [(CLUSTER, "A")])
    view.apply([cluster("A", "2")], [(CLUSTER, "B")])
    view.apply([], [(CLUSTER, "A")])
    assert client.ask(CLUSTER, ["Z"]) == []
    (second,) = client.ack(first)
    assert (second.names, sorted(second.removed)) == ([], ["A", "B", "Z"])


def test_created_and_deleted_before_it_was_sent_is_no_resource() -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER)
    view.apply([cluster("B")], ())
    view.apply([], [(CLUSTER, "B")])
    responses = settle(client, client.ack(first))
    assert all("B" not in response.resources for response in responses)


@pytest.mark.parametrize("type_url", [CLUSTER, LISTENER])
def test_c060_the_initial_set_is_one_response(type_url: str) -> None:
    (response,) = DeltaClient(view_of(*(resource(type_url, str(n)) for n in range(300)))).ask(type_url)
    assert len(response.resources) == 300


# ----- wildcard


@pytest.mark.parametrize("type_url", [CLUSTER, LISTENER, SCOPED_ROUTE])
def test_c062_a_first_request_without_names_is_a_wildcard(type_url: str) -> None:
    assert DeltaClient(view_of(resource(type_url, "A"))).ask(type_url)[0].names == ["A"]


@pytest.mark.parametrize("type_url", NAMED)
def test_c063_a_star_is_a_wildcard(type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    client = started(view, type_url, ["*"])
    view.apply([resource(type_url, "B")], ())
    assert client.pull()[0].names == ["B"]


def test_c065_from_wildcard_to_names_to_nothing() -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = started(view, CLUSTER, [])
    assert settle(client, client.ask(CLUSTER, ["A"]))[-1].names == ["A"]
    view.apply([cluster("B", "2")], ())
    assert settle(client, client.pull())[-1].names == ["B"], "still a wildcard"
    assert client.ask(CLUSTER, drop=["*"]) == []
    view.apply([cluster("B", "3")], ())
    assert client.pull() == []
    view.apply([cluster("A", "3")], ())
    assert settle(client, client.pull())[-1].names == ["A"]
    assert client.ask(CLUSTER, drop=["A"]) == []
    assert view.apply([cluster("A", "4")], ()) == []
    assert client.ask(CLUSTER) == []
    assert client.pull() == []


def test_c065_what_a_wildcard_owed_of_a_name_is_still_owed_to_the_name() -> None:
    view = view_of(cluster("A"), cluster("B"), cluster("C"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER, ["*", "A", "C"])
    view.apply([cluster("A", "2"), cluster("B", "2")], [(CLUSTER, "C")])
    assert client.ask(CLUSTER, drop=["*"]) == []
    (second,) = client.ack(first)
    assert (second.names, second.removed) == (["A"], ("C",))


def test_c065_names_become_a_wildcard() -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = started(view, CLUSTER, ["A"])
    (response,) = client.ask(CLUSTER, ["*"])
    assert response.names == ["A", "B"]
    client.ack(response)
    assert client.ask(CLUSTER, ["*"]) == [], "everything is there already"
    view.apply([cluster("A", "2")], ())
    (response,) = client.pull()
    assert response.names == ["A"]


def test_a_removal_owed_to_a_name_survives_its_becoming_a_wildcard() -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER, ["A", "B"])
    view.apply([], [(CLUSTER, "B")])
    assert client.ask(CLUSTER, ["*"]) == []
    (second,) = client.ack(first)
    assert (second.names, second.removed) == (["A"], ("B",))


def test_a_removal_owed_to_a_name_that_exists_again_is_not_told() -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER, ["A", "B"])
    view.apply([], [(CLUSTER, "B")])
    client.ask(CLUSTER, ["*"])
    view.apply([cluster("B", "2")], ())
    (second,) = client.ack(first)
    assert (second.names, second.removed) == (["A", "B"], ())


def test_what_is_under_way_to_a_new_wildcard_and_gone_is_removed() -> None:
    view = view_of(cluster("A"), cluster("B"))
    client = DeltaClient(view)
    (first,) = client.ask(CLUSTER, ["*", "A"])
    client.ask(CLUSTER, drop=["*"])
    view.apply([], [(CLUSTER, "B")])
    client.ask(CLUSTER, ["*"])
    (second,) = client.ack(first)
    assert (second.names, second.removed) == (["A"], ("B",))


@pytest.mark.parametrize("type_url", [ROUTE, ENDPOINT, SECRET, RUNTIME, EXTENSION, VIRTUAL_HOST])
def test_c067_an_empty_request_of_other_types_asks_for_nothing(type_url: str) -> None:
    view = view_of(resource(type_url, "A"))
    client = DeltaClient(view)
    assert client.ask(type_url) == []
    assert view.apply([resource(type_url, "A", "2")], ()) == []
    assert client.ask(type_url, ["A"])[0].names == ["A"]


def test_c068_the_empty_string_is_a_name_that_does_not_exist() -> None:
    (response,) = DeltaClient(view_of(cluster("A"))).ask(CLUSTER, [""])
    assert (response.names, response.removed) == ([], ("",))


def test_c096_a_missing_cluster_on_demand_is_told_each_time() -> None:
    client = started(view_of(cluster("base")), CLUSTER, [])
    for _ in range(2):
        (response,) = client.ask(CLUSTER, ["lazy"])
        assert response.removed == ("lazy",)
        client.ack(response)
