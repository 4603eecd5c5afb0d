"""The resources and nodes of synthetic runs: made from a seed, so that server, client and judge each make the same.

A resource carries the sequence number of the change that made it (`seq:00000012;`), which a client can find without
parsing anything.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from bench.core.protobuf import field

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
ROUTE = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
MARK = re.compile(rb"seq:(\d{8});")
CLUSTER_BYTES = 296
"""Size of a small cluster, that of the figures for peers."""
NODE_BYTES = 61_000
"""A real Node of Envoy 1.40: nearly all of it is its list of extensions."""

PROBE_ROUTE = "probe"


def cluster_name(index: int) -> str:
    """Name of one of the R clusters."""
    return f"cluster-{index:06d}"


def mark(sequence: int) -> str:
    """How a resource says which change made it."""
    return f"seq:{sequence:08d};"


def cluster(index: int, sequence: int, size: int = CLUSTER_BYTES) -> bytes:
    """An `envoy.config.cluster.v3.Cluster` of about `size` bytes, static and empty, as change `sequence` left it."""
    head = field(1, cluster_name(index)) + field(4, field(1, 1))  # connect_timeout: 1s
    text = mark(sequence)
    padding = max(0, size - len(head) - len(text) - 4)
    return head + field(28, text + "x" * padding)  # alt_stat_name


def route(sequence: int) -> bytes:
    """A RouteConfiguration that answers every request with the number of the change."""
    answer = field(1, 200) + field(2, field(3, mark(sequence)))  # status, body.inline_string
    everything = field(1, field(1, "/")) + field(7, answer)  # match.prefix, direct_response
    return field(1, PROBE_ROUTE) + field(2, field(1, "all") + field(2, "*") + field(3, everything))


class Resource(NamedTuple):
    """What a server serves."""

    type_url: str
    name: str
    body: bytes


class Corpus(Protocol):
    """A set of resources, and what a change does to it."""

    def initial(self) -> Iterator[Resource]:
        """The state before the first change."""

    def changed(self, resource: int, sequence: int) -> Resource:
        """What change `sequence` makes of a resource."""


class Clusters:
    """R clusters; a change alters one. For synthetic streams."""

    def __init__(self, resources: int, size: int) -> None:
        self._resources = resources
        self._size = size

    def initial(self) -> Iterator[Resource]:
        """All clusters."""
        return (self.changed(index, 0) for index in range(self._resources))

    def changed(self, resource: int, sequence: int) -> Resource:
        """One cluster."""
        return Resource(CLUSTER, cluster_name(resource), cluster(resource, sequence, self._size))


class Probe:
    """R clusters, and the route that a change alters. For real Envoys."""

    def __init__(self, resources: int, size: int) -> None:
        self._resources = resources
        self._size = size

    def initial(self) -> Iterator[Resource]:
        """Clusters and route."""
        for index in range(self._resources):
            yield Resource(CLUSTER, cluster_name(index), cluster(index, 0, self._size))
        yield self.changed(0, 0)

    def changed(self, resource: int, sequence: int) -> Resource:  # noqa: ARG002 (there is one route)
        """The route."""
        return Resource(ROUTE, PROBE_ROUTE, route(sequence))


def corpus(kind: str, resources: int, size: int) -> Corpus:
    """The corpus of that kind: `clusters` or `probe`."""
    kinds: dict[str, Callable[[int, int], Corpus]] = {"clusters": Clusters, "probe": Probe}
    return kinds[kind](resources, size)


def node(name: str, size: int = NODE_BYTES) -> bytes:
    """An `envoy.config.core.v3.Node` of about `size` bytes."""
    parts = [
        field(1, name),
        field(2, "bench"),
        field(4, field(1, "region") + field(2, "zone")),
        field(6, "envoy"),
    ]
    length = sum(map(len, parts))
    number = 0
    while length < size - 200:
        extension = field(1, f"envoy.bench.extension_{number:04d}") + field(2, "envoy.filters.http")
        extension += field(6, f"envoy.extensions.filters.http.bench.v3.Extension{number:04d}")
        parts.append(field(9, extension))
        length += len(parts[-1])
        number += 1
    return b"".join(parts)


class State:
    """What a node that follows every change must hold in the end: name → digest of the body."""

    def __init__(self, resources: int, size: int = CLUSTER_BYTES) -> None:
        self._size = size
        self._last = dict.fromkeys(range(resources), 0)

    def change(self, resource: int, sequence: int) -> None:
        """Note one published change."""
        self._last[resource] = sequence

    def digest(self) -> str:
        """Digest of the whole state, as `digest_of` makes it from what a node holds."""
        bodies = {cluster_name(i): digest_of_body(cluster(i, seq, self._size)) for i, seq in self._last.items()}
        return digest_of(bodies)


def digest_of_body(body: bytes) -> bytes:
    """Digest of one resource."""
    return hashlib.blake2b(body, digest_size=16).digest()


def digest_of(bodies: dict[str, bytes]) -> str:
    """Digest of a set of resources; independent of the order in which they came."""
    whole = hashlib.blake2b(digest_size=16)
    for name in sorted(bodies):
        whole.update(name.encode() + b"\0" + bodies[name])
    return whole.hexdigest()
