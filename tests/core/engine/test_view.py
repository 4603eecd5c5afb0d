"""Views, records and frames."""

from __future__ import annotations

import dataclasses

import pytest
from fakes.protocol import DeltaClient, SotwClient, cluster, message, resource, settle, view_of

from xds.engine import framing, types
from xds.engine.record import make_record
from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET


def test_a_record_is_immutable_and_equal_by_name_and_version() -> None:
    record = cluster("A")
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.body = b""
    assert record == cluster("A") != cluster("A", "2")
    assert repr(record).startswith("Record(Cluster 'A' ")


def test_a_given_version_stays() -> None:
    assert make_record(CLUSTER, "A", b"", version="fingerprint").version == "fingerprint"


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_frames_are_what_protobuf_writes(size: int) -> None:
    record = make_record(ROUTE, "naïve", b"\x0a" * size, version="v")
    sotw = message("envoy.service.discovery.v3.DiscoveryResponse").FromString(record.sotw_frame)
    delta = message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(record.delta_frame)
    (any_,), (wrapped,) = sotw.resources, delta.resources
    assert (any_.type_url, any_.value) == (ROUTE, record.body)
    assert (wrapped.name, wrapped.version, wrapped.resource.value) == ("naïve", "v", record.body)
    assert sotw.SerializeToString() == record.sotw_frame


def test_varints() -> None:
    assert [framing.varint(value) for value in (0, 127, 128, 300)] == [b"\0", b"\x7f", b"\x80\x01", b"\xac\x02"]


def test_the_rules_of_types() -> None:
    assert [types.policy_of(type_url).full_state for type_url in (CLUSTER, LISTENER, ROUTE)] == [True, True, False]
    assert types.policy_of("unheard of") == types.TypePolicy()
    assert not types.policy_of(SECRET).answer_missing


def test_a_commit_is_what_changes_something() -> None:
    view = View("web")
    assert view.apply([cluster("A")], ()) == []
    assert view.commit == 1
    view.apply([cluster("A")], [(CLUSTER, "B"), (ROUTE, "C")])
    assert view.commit == 1
    view.apply([], [(CLUSTER, "A")])
    assert view.commit == 2
    assert dict(view.records(CLUSTER)) == {}
    assert view.version(CLUSTER) == View().version(CLUSTER)
    assert repr(view) == "View('web' commit=2 sessions=0)"


def test_a_name_both_removed_and_given_is_given() -> None:
    view = view_of(cluster("A"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER))
    view.apply([cluster("A", "2")], [(CLUSTER, "A")])
    (response,) = client.pull()
    assert (response.names, response.removed) == (["A"], ())
    view.apply([cluster("A", "2")], [(CLUSTER, "A")])
    assert view.commit == 2, "removed and given as it was is nothing"


def test_replace_is_the_difference() -> None:
    view = view_of(cluster("A"), cluster("B"), resource(ENDPOINT, "A"))
    client = DeltaClient(view)
    settle(client, client.ask(CLUSTER))
    assert view.replace([cluster("A"), cluster("C"), resource(ENDPOINT, "A")]) == [client.session]
    (response,) = client.pull()
    assert (response.names, response.removed) == (["C"], ("B",))
    assert view.replace([cluster("A"), cluster("C"), resource(ENDPOINT, "A")]) == []


def test_what_is_there_can_be_asked_for() -> None:
    view = view_of(cluster("A"))
    assert view.get(CLUSTER, "A") == cluster("A")
    assert view.get(CLUSTER, "B") is None
    assert view.get(ROUTE, "A") is None


def test_versions_add_up_in_any_order() -> None:
    one, two = View(), View()
    one.apply([cluster("A"), cluster("B")], ())
    two.apply([cluster("B"), cluster("C")], ())
    two.apply([cluster("A")], [(CLUSTER, "C")])
    assert one.version(CLUSTER) == two.version(CLUSTER)
    assert len(one.version(CLUSTER)) == 32


@pytest.mark.parametrize("kind", [SotwClient, DeltaClient])
def test_an_outside_version_is_shown_as_it_is(kind: type[SotwClient | DeltaClient]) -> None:
    # The public conformance harness looks for its own version strings.
    view = View()
    view.apply([cluster("A")], (), versions={CLUSTER: "1"})
    client = kind(view)
    (first,) = client.ask(CLUSTER)
    assert first.version == "1"
    client.ack(first)
    view.apply([cluster("A", "2")], (), versions={CLUSTER: "2"})
    assert client.pull()[0].version == "2"
    assert view.version(CLUSTER) == "2"


def test_an_outside_version_of_a_removal_that_waits() -> None:
    view = view_of(cluster("A"), cluster("B"), resource(ROUTE, "r"))
    client = SotwClient(view)
    settle(client, client.ask(CLUSTER))
    settle(client, client.ask(ROUTE, ["r"]))
    view.apply([cluster("A", "2"), resource(ROUTE, "r", "2")], [(CLUSTER, "B")], versions={CLUSTER: "7"})
    (response,) = client.pull()
    assert (response.names, response.version) == (["A", "B"], "7")
