from __future__ import annotations

import pytest

from xds.edge.identity import address_of, peer_of
from xds.errors import Fault, PeerError


def context(*uris: str, spiffe: str | None = None):
    found = {"transport_security_type": [b"ssl"], "peer_uri": [uri.encode() for uri in uris]}
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
    with pytest.raises(PeerError, match="0 URI names"):
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
    ],
)
def test_anything_else_is_unauthenticated(uris, words) -> None:
    with pytest.raises(PeerError, match=words) as caught:
        peer_of(context(*uris, spiffe=uris[0] if uris else None), "ipv4:127.0.0.1:4", "td.test")
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
