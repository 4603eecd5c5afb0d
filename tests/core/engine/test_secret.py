"""Secrets: held rather than refused, one at a time, the good one back over a rejected one, and no text of a client."""

from __future__ import annotations

import pytest
from fakes.protocol import DeltaClient, SotwClient, resource, settle, view_of

from xds.engine import answers
from xds.engine.view import View
from xds.names import SECRET

KINDS = [SotwClient, DeltaClient]
Kind = type[SotwClient | DeltaClient]
KEY = "-----BEGIN SECRET-----"


def secret(name: str, word: str = "1"):
    return resource(SECRET, name, word)


def started(kind: Kind, view: View, names: list[str]) -> SotwClient | DeltaClient:
    client = kind(view)
    settle(client, client.ask(SECRET, names))
    return client


@pytest.mark.parametrize("kind", KINDS)
def test_c093_a_missing_name_is_held_and_others_are_answered(kind: Kind) -> None:
    view = view_of(secret("mine"))
    client = kind(view)
    (response,) = client.ask(SECRET, ["mine", "of another"])
    assert (response.names, response.removed) == (["mine"], ())
    assert client.ack(response) == []
    view.apply([secret("of another")], ())
    assert client.pull()[0].names == ["of another"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [["A"], ["*"]])
def test_c093_a_secret_is_never_removed(kind: Kind, names: list[str]) -> None:
    view = view_of(secret("A"))
    client = started(kind, view, names)
    view.apply([], [(SECRET, "A")])
    assert client.pull() == []
    view.apply([secret("A", "2")], ())
    assert client.pull()[0].names == ["A"]


@pytest.mark.parametrize("kind", KINDS)
def test_c093_nothing_at_all_is_silence(kind: Kind) -> None:
    assert kind(View()).ask(SECRET, ["*"]) == []


def test_c093_what_a_reconnecting_client_holds_of_a_missing_secret_is_not_removed() -> None:
    assert DeltaClient(View()).ask(SECRET, ["A"], initial={"A": "1"}) == []
    assert DeltaClient(View()).ask(SECRET, ["*"], initial={"A": "1"}) == []


@pytest.mark.parametrize("kind", KINDS)
def test_c094_only_streams_of_that_name_are_pushed(kind: Kind) -> None:
    view = view_of(secret("A"), secret("B"))
    one, other = started(kind, view, ["A"]), started(kind, view, ["B"])
    assert view.apply([secret("A", "2")], ()) == [one.session]
    assert other.pull() == []
    assert view.apply([secret("A", "2")], ()) == [], "unchanged bytes are no change"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("names", [["A", "B", "C"], ["*"]])
def test_one_secret_is_in_a_response(kind: Kind, names: list[str]) -> None:
    view = view_of(secret("A"), secret("B"), secret("C"))
    client = kind(view)
    first = settle(client, client.ask(SECRET, names))
    assert [response.names for response in first] == [["A"], ["B"], ["C"]]
    view.apply([secret("C", "2"), secret("A", "2")], ())
    assert sorted(name for response in settle(client, client.pull()) for name in response.names) == ["A", "C"]


@pytest.mark.parametrize("kind", KINDS)
def test_c079_a_rejected_secret_is_covered_by_the_last_good_one_once(kind: Kind) -> None:
    view = view_of(secret("A"), secret("B"))
    client = started(kind, view, ["A", "B"])
    version = view.version(SECRET)
    view.apply([secret("A", "bad"), secret("B", "2")], ())
    (bad,) = client.pull()
    (good,) = client.nack(bad)
    assert good.resources == {"A": secret("A").body}, "before anything else"
    assert good.version == version
    assert good.nonce != bad.nonce
    (rest,) = client.ack(good)
    assert rest.resources == {"B": secret("B", "2").body}
    assert client.ack(rest) == []
    assert client.session.acked_version(SECRET, "A") == secret("A").version
    assert client.session.status()[0].parked == ("A",)
    view.apply([secret("A", "3")], ())
    settle(client, client.pull())
    assert client.session.acked_version(SECRET, "A") == secret("A", "3").version
    assert client.session.status()[0].parked == ()


@pytest.mark.parametrize("kind", KINDS)
def test_c079_it_is_sent_once_even_if_it_is_rejected_too(kind: Kind) -> None:
    view = view_of(secret("A"))
    client = started(kind, view, ["A"])
    view.apply([secret("A", "bad")], ())
    (good,) = client.nack(client.pull()[0])
    assert client.nack(good) == []
    assert len(client.session.rejections) == 2
    view.apply([secret("A", "other")], ())
    view.apply([secret("A", "bad")], ())
    assert client.pull() == [], "still what was rejected"
    view.apply([secret("A", "other")], ())
    assert client.pull()[0].names == ["A"]


@pytest.mark.parametrize("kind", KINDS)
def test_c079_the_view_is_back_at_the_good_one_already(kind: Kind) -> None:
    view = view_of(secret("A"))
    client = started(kind, view, ["A"])
    view.apply([secret("A", "bad")], ())
    (bad,) = client.pull()
    view.apply([secret("A")], ())
    (good,) = client.nack(bad)
    assert good.resources == {"A": secret("A").body}
    assert client.ack(good) == [], "once is enough"
    (status,) = client.session.status()
    assert (status.parked, status.rejection, status.acked_commit) == ((), None, view.commit)


@pytest.mark.parametrize("kind", KINDS)
def test_c079_without_a_good_one_there_is_nothing_to_send(kind: Kind) -> None:
    client = kind(view_of(secret("A")))
    (first,) = client.ask(SECRET, ["A"])
    assert client.nack(first) == []


def test_c079_the_good_one_itself_rejected_is_not_sent_again() -> None:
    client = started(DeltaClient, view_of(secret("A")), ["A"])
    (again,) = client.ask(SECRET, ["A"])
    assert client.nack(again) == []


def test_c079_the_other_half_rejected_for_the_first_ones_sake_is_tried_again() -> None:
    # A bad certificate makes Envoy reject the next good bundle with the certificate's error (facts A2).
    view = view_of(secret("default"), secret("ROOTCA"))
    client = started(DeltaClient, view, ["default", "ROOTCA"])
    view.apply([secret("default", "bad"), secret("ROOTCA", "2")], ())
    (restored,) = client.nack(client.pull()[0])
    (bundle,) = client.ack(restored)
    (restored,) = client.nack(bundle)
    assert restored.resources == {"ROOTCA": secret("ROOTCA").body}
    assert client.ack(restored) == []
    view.apply([secret("default", "2")], ())
    (certificate,) = client.pull()
    (bundle,) = client.ack(certificate)
    assert bundle.resources == {"ROOTCA": secret("ROOTCA", "2").body}
    assert client.ack(bundle) == []


@pytest.mark.parametrize("kind", KINDS)
def test_c080_the_text_of_a_client_is_not_kept(kind: Kind) -> None:
    client = kind(view_of(secret("A")))
    (response,) = client.ask(SECRET, ["A"])
    client.nack(response, f"Proto constraint validation failed: field private_key {KEY}")
    client.nack(response, f"Failed to load private key from <inline>, {KEY}")
    client.nack(response, f"something about {KEY}")
    texts = [rejection.message for rejection in client.session.take_rejections()]
    assert texts == ["Proto constraint validation failed", "Failed to load private key", answers.WITHHELD]
    assert KEY not in repr(client.session.status())


def test_no_representation_shows_a_secret() -> None:
    record = resource(SECRET, "A", KEY)
    view = view_of(record)
    client = DeltaClient(view)
    client.ask(SECRET, ["A"])
    manifest = client.replies[0].manifest
    for text in (
        record,
        view,
        client.session,
        client.replies[0],
        manifest,
        client.session.status(),
        vars,
        view.records(SECRET),
    ):
        assert KEY not in repr(text)


def test_the_last_acknowledged_version_is_known_of_secrets_only() -> None:
    view = view_of(secret("A"))
    client = DeltaClient(view)
    assert client.session.acked_version(SECRET, "A") is None
    (response,) = client.ask(SECRET, ["A"])
    assert client.session.acked_version(SECRET, "A") is None
    client.ack(response)
    assert client.session.acked_version(SECRET, "A") == secret("A").version
    assert client.session.acked_version(SECRET, "B") is None
    client.ask(SECRET, drop=["A"])
    assert client.session.acked_version(SECRET, "A") is None
