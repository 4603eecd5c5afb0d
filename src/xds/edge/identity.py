"""Who is at the other end of a connection, by its certificate alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from xds.errors import Fault, PeerError
from xds.names import InvalidSpiffeId, SpiffeId, shown

_TRANSPORT: Final = "transport_security_type"
_INSECURE: Final = b"insecure"
_SPIFFE_ID: Final = "peer_spiffe_id"
_URI_SANS: Final = "peer_uri"


@dataclass(frozen=True, slots=True)
class Peer:
    """The verified identity of a client, and where it connects from."""

    spiffe_id: SpiffeId | None
    """None on a plaintext listener only."""
    address: str


def peer_of(auth_context: Mapping[str, Sequence[bytes]], peer: str, trust_domain: str) -> Peer:
    """Read a client's identity from what the handshake verified. Raises `PeerError`.

    grpc's own `peer_spiffe_id` is no validation: it is also set for a query, a user part, a relative path and for the
    trust domain itself, which is what an issuing certificate carries. Here it takes exactly one URI SAN, a canonical
    SPIFFE ID of our trust domain, with a path.
    """
    address = address_of(peer)
    if list(auth_context.get(_TRANSPORT, ())) == [_INSECURE]:
        return Peer(None, address)
    uris = auth_context.get(_URI_SANS, ())
    if len(uris) != 1:
        raise _refused(f"has {len(uris)} URI names in its certificate instead of exactly one", address)
    try:
        spiffe_id = SpiffeId.parse(_text(uris[0]))
    except InvalidSpiffeId as error:
        raise _refused(f"has an ID in its certificate that {error}", address) from None
    if spiffe_id.trust_domain != trust_domain:
        raise _refused(f"is of another trust domain, {shown(spiffe_id.trust_domain)}", address)
    if not spiffe_id.path:
        raise _refused("shows the identity of a whole trust domain, as only issuing certificates have it", address)
    if list(auth_context.get(_SPIFFE_ID, ())) != list(uris):
        raise _refused("has an ID in its certificate that gRPC does not take for one", address)
    return Peer(spiffe_id, address)


def address_of(peer: str) -> str:
    """`host:port` of grpc's `ipv4:host:port`."""
    for scheme in ("ipv4:", "ipv6:"):
        if peer.startswith(scheme):
            return peer.removeprefix(scheme).replace("%5B", "[").replace("%5D", "]")
    return peer


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _refused(reason: str, address: str) -> PeerError:
    return PeerError(Fault.UNAUTHENTICATED, f"the client at {address} {reason}")
