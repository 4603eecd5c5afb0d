"""Delta xDS from the client's side: requests as ready bytes, and as much of a response as an acknowledgement needs."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.corpus import MARK, digest_of_body
from bench.core.protobuf import field, fields

DELTA_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
_INVALID_ARGUMENT = 3


@dataclass(frozen=True, slots=True)
class Response:
    """The envelope of a DeltaDiscoveryResponse."""

    type_url: str
    nonce: str
    resources: tuple[bytes, ...]
    removed: int
    mark: int
    """The newest change that the resources carry; 0 for the initial state."""


def parse(data: bytes) -> Response:
    """Read a response. Raises ValueError where it is none."""
    type_url = nonce = ""
    resources: list[bytes] = []
    removed = 0
    for number, value in fields(data):
        if isinstance(value, int):
            continue
        if number == 2:
            resources.append(value)
        elif number == 4:
            type_url = value.decode()
        elif number == 5:
            nonce = value.decode()
        elif number == 6:
            removed += 1
    if not type_url or not nonce:
        raise ValueError("a response without type or nonce")
    return Response(type_url, nonce, tuple(resources), removed, max(map(int, MARK.findall(data)), default=0))


def refuse_unasked(response: Response, type_url: str) -> None:
    """Raise ValueError where a response is about something else than what was subscribed to and changed."""
    if response.type_url != type_url or response.removed:
        raise ValueError(f"unexpected {response.type_url}, {response.removed} removed")


def named_digest(resource: bytes) -> tuple[str, bytes]:
    """(name, digest of the body) of one `Resource`. Raises ValueError where something is missing."""
    name = body = None
    for number, value in fields(resource):
        if number == 3 and isinstance(value, bytes):
            name = value.decode()
        elif number == 2 and isinstance(value, bytes):
            body = next((inner for inner_number, inner in fields(value) if inner_number == 2), None)
    if name is None or not isinstance(body, bytes):
        raise ValueError("a resource without name or body")
    return name, digest_of_body(body)


def subscribe(type_url: str, node: bytes) -> bytes:
    """First request of a wildcard subscription."""
    return field(1, node) + field(2, type_url)


def acknowledge(type_url: str, nonce: str) -> bytes:
    """ACK of a response."""
    return field(2, type_url) + field(6, nonce)


def reject(type_url: str, nonce: str, reason: str) -> bytes:
    """NACK of a response."""
    return acknowledge(type_url, nonce) + field(7, field(1, _INVALID_ARGUMENT) + field(2, reason))
