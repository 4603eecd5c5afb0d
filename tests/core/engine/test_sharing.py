"""What a change costs: shared replies, one integer per stream, logs that are forgotten."""

from __future__ import annotations

import pytest
from fakes.protocol import Delta, DeltaClient, Sotw, SotwClient, cluster, resource, settle, view_of

from xds.engine import log, shelf
from xds.engine.session import Session
from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE

KINDS = [SotwClient, DeltaClient]
Kind = type[SotwClient | DeltaClient]


def crowd(kind: Kind, view: View, type_url: str, names: list[str], size: int = 10) -> list[SotwClient | DeltaClient]:
    clients = [kind(view, identifier="one") for _ in range(size)]
    for client in clients:
        settle(client, client.ask(type_url, names))
    return clients


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("type_url", [CLUSTER, LISTENER, ROUTE, ENDPOINT])
@pytest.mark.parametrize("names", [["*"], ["A", "B"]])
def test_streams_in_the_same_state_get_the_same_object(kind: Kind, type_url: str, names: list[str]) -> None:
    view = view_of(resource(type_url, "A"), resource(type_url, "B"), resource(type_url, "C"))
    clients = crowd(kind, view, type_url, names)
    assert len({id(client.replies[-1]) for client in clients}) == 1
    for change in range(3):
        view.apply([resource(type_url, "A", str(change))], [(type_url, "B")])
        for client in clients:
            settle(client, client.pull())
        assert len({id(client.replies[-1].body) for client in clients}) == 1


def test_names_in_another_order_are_the_same_state() -> None:
    view = view_of(resource(ENDPOINT, "A"), resource(ENDPOINT, "B"))
    one, other = DeltaClient(view), DeltaClient(view)
    one.ask(ENDPOINT, ["A", "B"])
    other.ask(ENDPOINT, ["B", "A"])
    assert one.replies[-1] is other.replies[-1]


def test_protocols_and_identifiers_do_not_mix() -> None:
    view = view_of(cluster("A"))
    clients = [SotwClient(view), DeltaClient(view), DeltaClient(view, identifier="x"), SotwClient(view, identifier="x")]
    for client in clients:
        client.ask(CLUSTER)
    assert len({client.replies[-1].body for client in clients}) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_c008_a_stream_that_had_this_reply_gets_its_own(kind: Kind) -> None:
    view = view_of(resource(ENDPOINT, "A"), resource(ENDPOINT, "B"))
    one, other = kind(view), kind(view)
    settle(one, one.ask(ENDPOINT, ["A"]))
    settle(one, one.ask(ENDPOINT, []))
    settle(one, one.ask(ENDPOINT, ["A"]))
    settle(other, other.ask(ENDPOINT, ["A"]))
    assert one.replies[-1] is other.replies[-1], "the newest is the shared one"


def test_a_laggard_gets_the_sum_of_what_it_missed() -> None:
    view = view_of(cluster("A"), cluster("B"), cluster("C"))
    fast, slow = crowd(DeltaClient, view, CLUSTER, [], 2)
    view.apply([cluster("A", "2")], ())
    settle(fast, fast.pull())
    view.apply([cluster("B", "2")], [(CLUSTER, "C")])
    assert settle(fast, fast.pull())[0].names == ["B"]
    (response,) = slow.pull()
    assert (response.names, response.removed) == (["A", "B"], ("C",))


def test_one_of_two_subscribers_of_a_name_goes() -> None:
    view = view_of(resource(ENDPOINT, "A"))
    one, other = crowd(DeltaClient, view, ENDPOINT, ["A"], 2)
    one.ask(ENDPOINT, drop=["A"])
    assert view.apply([resource(ENDPOINT, "A", "2")], ()) == [other.session]


def test_only_subscribers_are_woken_each_once() -> None:
    view = view_of(*(resource(ENDPOINT, name) for name in "ABC"), cluster("A"))
    one, two = DeltaClient(view), DeltaClient(view)
    settle(one, one.ask(ENDPOINT, ["A", "B"]))
    settle(two, two.ask(ENDPOINT, ["C"]))
    settle(two, two.ask(CLUSTER))
    changed = [resource(ENDPOINT, "A", "2"), resource(ENDPOINT, "B", "2")]
    assert view.apply(changed, ()) == [one.session]
    assert view.apply([*changed, cluster("A", "2"), resource(ENDPOINT, "C", "2")], ()) == [two.session]
    assert view.apply(changed, [(ENDPOINT, "nothing"), (ROUTE, "nothing")]) == []
    assert view.commit == 3


@pytest.mark.parametrize("kind", KINDS)
def test_logs_are_forgotten_up_to_the_slowest_reader(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "KEEP", 32)
    view = view_of(cluster("A"))
    fast, slow = crowd(kind, view, CLUSTER, [], 2)
    held = view.shelf(CLUSTER)
    for step in range(2 * log.KEEP):
        view.apply([cluster("A", str(step))], [(CLUSTER, f"B{step - 1}")])
        view.apply([cluster(f"B{step}")], ())
        settle(fast, fast.pull())
    assert len(held.changes.items) > 2 * log.KEEP
    (response, *_) = slow.pull()
    assert response.names == ["A", f"B{step}"]
    settle(slow, [response])
    for step in range(4 * log.KEEP):
        view.apply([cluster("A", f"again {step}")], ())
        for client in (fast, slow):
            settle(client, client.pull())
    assert len(held.changes.items) <= 2 * log.KEEP
    assert len(held.removals.items) == len(held.gone) <= 1


def test_a_name_that_comes_and_goes_does_not_fill_the_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "KEEP", 32)
    view = View()
    (client,) = crowd(DeltaClient, view, CLUSTER, [], 1)
    for _ in range(2 * log.KEEP):
        view.apply([cluster("A")], ())
        view.apply([], [(CLUSTER, "A")])
        settle(client, client.pull())
    held = view.shelf(CLUSTER)
    assert max(len(held.changes.items), len(held.removals.items)) <= log.KEEP
    assert len(held.gone) <= 1


def test_without_wildcards_nothing_is_logged() -> None:
    view = view_of(resource(ENDPOINT, "A"))
    client = DeltaClient(view)
    settle(client, client.ask(ENDPOINT, ["A"]))
    view.apply([resource(ENDPOINT, "A", "2"), resource(ENDPOINT, "B")], ())
    view.apply([], [(ENDPOINT, "B")])
    held = view.shelf(ENDPOINT)
    assert (held.changes.items, held.removals.items, held.gone) == ([], [], {})


def test_kept_replies_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf, "REPLIES_MAX", 4)
    names = [f"e{number}" for number in range(20)]
    view = view_of(*(resource(ENDPOINT, name) for name in names))
    for name in names:
        DeltaClient(view).ask(ENDPOINT, [name])
    assert len(view.shelf(ENDPOINT).replies) <= 4
    monkeypatch.setattr(shelf, "REPLIES_BYTES_MAX", 1)
    DeltaClient(view).ask(ENDPOINT, names[:2])
    assert len(view.shelf(ENDPOINT).replies) == 1
    view.apply([resource(ENDPOINT, "e0", "2")], ())
    assert view.shelf(ENDPOINT).replies_bytes == 0


def test_a_change_costs_nothing_per_resource() -> None:
    # Counted, not timed: with a thousand resources a push builds one frame and touches one name.
    view = view_of(*(cluster(str(number)) for number in range(1000)))
    sessions = [Session(view, delta=True, allowed=None) for _ in range(5)]
    for session in sessions:
        reply = session.on_request(Delta(CLUSTER))
        session.on_request(Delta(CLUSTER, response_nonce=reply.nonce))
    assert view.apply([cluster("7", "2")], ()) == sessions
    replies = [session.next_reply() for session in sessions]
    assert len({id(reply) for reply in replies}) == 1
    assert len(replies[0].manifest.changed) == 1
    assert len(view.shelf(CLUSTER).changes.items) == 1


def test_an_acknowledgement_in_a_quiet_stream_looks_at_nothing() -> None:
    view = view_of(cluster("A"))
    session = Session(view, delta=False, allowed=None)
    reply = session.on_request(Sotw(CLUSTER))
    assert session.next_reply() is None
    session._ordered = None  # would fail if it were walked
    assert session.on_request(Sotw(CLUSTER, [], reply.manifest.version, reply.nonce)) is None
