from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Any

import pytest
from fakes.certs import Authority

from xds.edge import identity
from xds.edge.identity import address_of
from xds.errors import Fault, PeerError

AUTHORITY = Authority("td.test")
NOW_S = dt.datetime(2030, 1, 1, tzinfo=dt.UTC).timestamp()
HOUR_S = 3600
peer_of = partial(identity.peer_of, now_s=NOW_S)


def context(*uris: str, spiffe: str | None = None, **pair: Any):
    """What gRPC tells of a client; it cuts texts at a NUL."""
    cut = [uri.encode().partition(b"\0")[0] for uri in uris]
    found = {"transport_security_type": [b"ssl"], "peer_uri": cut}
    found["x509_pem_cert"] = [AUTHORITY.leaf(*uris, **pair).cert_pem]
    if spiffe is not None:
        found["peer_spiffe_id"] = [spiffe.encode()]
    return found


def test_one_canonical_id_of_our_trust_domain_is_a_peer() -> None:
    peer = peer_of(context("spiffe://td.test/web", spiffe="spiffe://td.test/web"), "ipv4:127.0.0.1:4", "td.test")
    assert str(peer.spiffe_id) == "spiffe://td.test/web"
    assert peer.address == "127.0.0.1:4"


def test_plaintext_has_no_identity() -> None:
    plaintext = {"transport_security_type": [b"insecure"]}
    assert peer_of(plaintext, "ipv4:127.0.0.1:4", "td.test").spiffe_id is None


def test_only_plaintext_has_none() -> None:
    with pytest.raises(PeerError, match="shows no certificate"):
        peer_of({}, "ipv4:127.0.0.1:4", "td.test")


@pytest.mark.parametrize(
    ("uris", "words"),
    [
        ((), "0 URI names"),
        (("spiffe://td.test/a", "spiffe://td.test/b"), "2 URI names"),
        (("spiffe://td.test/a", "https://x"), "2 URI names"),
        (("https://td.test/a",), "does not begin with spiffe://"),
        (("spiffe://other/a",), "another trust domain"),
        (("spiffe://td.test",), "whole trust domain"),
        (("spiffe://td.test/a?b",), "path character"),
        (("spiffe://user@td.test/a",), "trust domain is empty or has"),
        (("spiffe://td.test/../a",), "relative path segment"),
        (("spiffe://TD.test/a",), "trust domain is empty or has"),
        (("spiffe://td.test/a\n",), "path character"),
        (("spiffe://td.test/cp/node/a\0b",), "path character"),
    ],
)
def test_anything_else_is_unauthenticated(uris, words) -> None:
    spiffe = uris[0].partition("\0")[0] if uris else None
    with pytest.raises(PeerError, match=words) as caught:
        peer_of(context(*uris, spiffe=spiffe), "ipv4:127.0.0.1:4", "td.test")
    assert caught.value.fault is Fault.UNAUTHENTICATED
    assert str(caught.value).isascii()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spiffe", [None, "spiffe://td.test/b"])
def test_grpc_must_agree(spiffe) -> None:
    with pytest.raises(PeerError, match="gRPC does not take for one"):
        peer_of(context("spiffe://td.test/a", spiffe=spiffe), "ipv4:127.0.0.1:4", "td.test")


def test_addresses_are_shown_as_people_write_them() -> None:
    assert address_of("ipv6:%5B::1%5D:5") == "[::1]:5"
    assert address_of("unix:") == "unix:"


def test_the_names_in_the_certificate_count_and_not_those_that_grpc_cut() -> None:
    told = context("spiffe://td.test/a", spiffe="spiffe://td.test/a")
    told["x509_pem_cert"] = [AUTHORITY.leaf("spiffe://td.test/b").cert_pem]
    with pytest.raises(PeerError, match="gRPC does not take for one"):
        peer_of(told, "ipv4:127.0.0.1:4", "td.test")


def test_an_issuing_certificate_is_nobody() -> None:
    told = context("spiffe://td.test/cp/node/a", spiffe="spiffe://td.test/cp/node/a", ca=True)
    with pytest.raises(PeerError, match="issuing certificate") as caught:
        peer_of(told, "ipv4:127.0.0.1:4", "td.test")
    assert caught.value.fault is Fault.UNAUTHENTICATED


def test_what_is_no_certificate_is_refused() -> None:
    told = context("spiffe://td.test/a", spiffe="spiffe://td.test/a")
    told["x509_pem_cert"] = [b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
    with pytest.raises(PeerError, match="cannot be read"):
        peer_of(told, "ipv4:127.0.0.1:4", "td.test")


@pytest.mark.parametrize(
    ("begins_s", "ends_s", "words"),
    [
        (NOW_S - HOUR_S, NOW_S, "certificate expired at 2030-01-01T00:00:00Z: renew it"),
        (NOW_S - HOUR_S, NOW_S - 3, "certificate expired at 2029-12-31T23:59:57Z: renew it"),
        (NOW_S + 1, NOW_S + HOUR_S, "valid from 2030-01-01T00:00:01Z only"),
    ],
)
def test_a_certificate_counts_in_its_time_only(begins_s, ends_s, words) -> None:
    """A resumed session gets through the handshake after the certificate's end."""
    life = {
        "not_before": dt.datetime.fromtimestamp(begins_s, dt.UTC),
        "not_after": dt.datetime.fromtimestamp(ends_s, dt.UTC),
    }
    told = context("spiffe://td.test/a", spiffe="spiffe://td.test/a", **life)
    with pytest.raises(PeerError, match=words) as caught:
        peer_of(told, "ipv4:127.0.0.1:4", "td.test")
    assert caught.value.fault is Fault.UNAUTHENTICATED
    assert identity.peer_of(told, "ipv4:127.0.0.1:4", "td.test", ends_s - 1).ends_s == ends_s
