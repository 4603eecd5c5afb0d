"""Who is at the other end of a connection, by its certificate alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Final

from xds.edge.certificate import Certificate, MalformedCertificate, read_certificate
from xds.errors import Fault, PeerError
from xds.names import InvalidSpiffeId, SpiffeId, shown

_TRANSPORT: Final = "transport_security_type"
_INSECURE: Final = b"insecure"
_SPIFFE_ID: Final = "peer_spiffe_id"
_URI_SANS: Final = "peer_uri"
_CERTIFICATE: Final = "x509_pem_cert"


@dataclass(frozen=True, slots=True)
class Peer:
    """The verified identity of a client, and where it connects from."""

    spiffe_id: SpiffeId | None
    """None on a plaintext listener only."""
    address: str
    ends_s: float = inf
    """The end of its certificate by the wall clock; nothing that it opened outlives that."""


def peer_of(auth_context: Mapping[str, Sequence[bytes]], peer: str, trust_domain: str, now_s: float) -> Peer:
    """Read a client's identity from what the handshake verified. Raises `PeerError`.

    The handshake of a resumed session verifies nothing, so `now_s` is held against the certificate here.

    grpc's own `peer_spiffe_id` is no validation: it is also set for a query, a user part, a relative path and for the
    trust domain itself, which is what an issuing certificate carries. Here it takes exactly one URI SAN, a canonical
    SPIFFE ID of our trust domain, with a path, in a certificate that issues nothing.
    """
    address = address_of(peer)
    if list(auth_context.get(_TRANSPORT, ())) == [_INSECURE]:
        return Peer(None, address)
    certificate = _certificate(auth_context, address)
    _check_time(certificate, now_s, address)
    spiffe_id = _spiffe_id(certificate.uris, trust_domain, address)
    if certificate.issuing:
        raise _refused("shows an issuing certificate (CA:TRUE), and those are nobody's identity", address)
    # gRPC's view of the names is another reader's: where it differs, one of the two was deceived.
    if not list(certificate.uris) == list(auth_context.get(_URI_SANS, ())) == list(auth_context.get(_SPIFFE_ID, ())):
        raise _refused("has an ID in its certificate that gRPC does not take for one", address)
    return Peer(spiffe_id, address, certificate.not_after_s)


def _certificate(auth_context: Mapping[str, Sequence[bytes]], address: str) -> Certificate:
    shown_ones = auth_context.get(_CERTIFICATE, ())
    if len(shown_ones) != 1:
        raise _refused("shows no certificate", address)
    try:
        return read_certificate(shown_ones[0])
    except MalformedCertificate as error:
        raise _refused(f"shows a certificate that cannot be read ({error})", address) from None


def _check_time(certificate: Certificate, now_s: float, address: str) -> None:
    if now_s >= certificate.not_after_s:
        raise _refused(f"shows a {expired(certificate.not_after_s)}", address)
    if now_s < certificate.not_before_s:
        begin = _instant(certificate.not_before_s)
        raise _refused(f"shows a certificate that is valid from {begin} only: compare the clocks", address)


def expired(not_after_s: float) -> str:
    """What is to be said, and done, about a certificate that has ended."""
    return f"certificate expired at {_instant(not_after_s)}: renew it, and connect again"


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _spiffe_id(uris: Sequence[bytes], trust_domain: str, address: str) -> SpiffeId:
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
    return spiffe_id


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
