"""Clients of a bare session: requests as plain dataclasses, responses decoded with the messages of Envoy's own API."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from xds.engine.events import Reply
from xds.engine.record import Record, make_record
from xds.engine.session import Session
from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, EXTENSION, LISTENER, PREFIX, ROUTE, RUNTIME, SCOPED_ROUTE, SECRET, VIRTUAL_HOST

CONTENT = {
    # How a resource of each type holds a word that tests can change and read again.
    CLUSTER: lambda name, word: {"name": name, "alt_stat_name": word},
    ENDPOINT: lambda name, word: {"cluster_name": name, "endpoints": [{"locality": {"zone": word}}]},
    LISTENER: lambda name, word: {"name": name, "stat_prefix": word},
    ROUTE: lambda name, word: {"name": name, "internal_only_headers": [word]},
    SCOPED_ROUTE: lambda name, word: {"name": name, "route_configuration_name": word},
    VIRTUAL_HOST: lambda name, word: {"name": name, "domains": [word]},
    EXTENSION: lambda name, word: {"name": name, "typed_config": {"type_url": word}},
    RUNTIME: lambda name, word: {"name": name, "layer": {word: 1}},
    SECRET: lambda name, word: {"name": name, "generic_secret": {"secret": {"inline_string": word}}},
}


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    data = importlib.resources.files("xds").joinpath("_gen", "envoy.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    return pool


@functools.cache
def message(full_name: str) -> Any:
    """A message class of Envoy's API."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))


def body_of(type_url: str, name: str, word: str) -> bytes:
    """The bytes of a small resource."""
    return message(type_url.removeprefix(PREFIX))(**CONTENT[type_url](name, word)).SerializeToString(deterministic=True)


def resource(
    type_url: str, name: str, word: str = "1", *, children: Iterable[tuple[str, str]] = (), source: str = ""
) -> Record:
    """A small resource as a record."""
    return make_record(type_url, name, body_of(type_url, name, word), children=children, source=source)


def cluster(name: str, word: str = "1", *, eds: str = "") -> Record:
    """A cluster that gets its endpoints by EDS."""
    return resource(CLUSTER, name, word, children=[(ENDPOINT, eds or name)])


def name_in(type_url: str, body: bytes) -> str:
    """The name inside a resource."""
    parsed = message(type_url.removeprefix(PREFIX)).FromString(body)
    return parsed.cluster_name if type_url == ENDPOINT else parsed.name


# ----- requests


@dataclass
class Detail:
    code: int = 13
    message: str = "no"


@dataclass
class Sotw:
    type_url: str
    resource_names: Sequence[str] = ()
    version_info: str = ""
    response_nonce: str = ""
    error_detail: Detail | None = None

    def __post_init__(self) -> None:
        self.resource_names = list(self.resource_names)

    def HasField(self, name: str) -> bool:  # noqa: N802 (protobuf's spelling)
        return getattr(self, name) is not None


@dataclass
class Delta:
    type_url: str
    resource_names_subscribe: Sequence[str] = ()
    resource_names_unsubscribe: Sequence[str] = ()
    initial_resource_versions: Mapping[str, str] = field(default_factory=dict)
    response_nonce: str = ""
    error_detail: Detail | None = None

    def HasField(self, name: str) -> bool:  # noqa: N802 (protobuf's spelling)
        return getattr(self, name) is not None


# ----- responses


@dataclass
class Response:
    """What a client reads from one response."""

    type_url: str
    nonce: str
    version: str
    resources: dict[str, bytes]
    """Name -> body."""
    versions: dict[str, str] = field(default_factory=dict)
    """Name -> version; delta only."""
    removed: tuple[str, ...] = ()
    identifier: str = ""

    @property
    def names(self) -> list[str]:
        return sorted(self.resources)


def decode(reply: Reply, *, delta: bool) -> Response:
    """Read a reply's bytes as a client does, and refuse what clients refuse."""
    return _decode_delta(reply) if delta else _decode_sotw(reply)


def _decode_sotw(reply: Reply) -> Response:
    parsed = message("envoy.service.discovery.v3.DiscoveryResponse").FromString(reply.body)
    resources = {}
    for each in parsed.resources:
        assert each.type_url == parsed.type_url, "c032"
        name = name_in(each.type_url, each.value)
        assert name not in resources, f"c031: {name} twice"
        resources[name] = each.value
    return Response(
        parsed.type_url, parsed.nonce, parsed.version_info, resources, identifier=parsed.control_plane.identifier
    )


def _decode_delta(reply: Reply) -> Response:
    parsed = message("envoy.service.discovery.v3.DeltaDiscoveryResponse").FromString(reply.body)
    resources, versions = {}, {}
    for each in parsed.resources:
        assert each.resource.type_url == parsed.type_url, "c032"
        assert each.name == name_in(parsed.type_url, each.resource.value)
        assert each.name not in resources, f"c055: {each.name} twice"
        resources[each.name] = each.resource.value
        versions[each.name] = each.version
    union = [*resources, *parsed.removed_resources]
    assert len(union) == len(set(union)), f"c055: {union}"
    return Response(
        parsed.type_url,
        parsed.nonce,
        parsed.system_version_info,
        resources,
        versions,
        tuple(parsed.removed_resources),
        parsed.control_plane.identifier,
    )


# ----- clients


class Client:
    """One stream. Each call returns the responses that the server sends because of it."""

    delta: bool

    def __init__(self, view: View, **options: Any) -> None:
        self.session = Session(view, delta=self.delta, allowed=options.pop("allowed", None), **options)
        self.replies: list[Reply] = []
        self.nonces: set[tuple[str, str]] = set()

    def send(self, request: Any) -> list[Response]:
        """Send a request."""
        reply = self.session.on_request(request)
        return ([] if reply is None else [self._read(reply)]) + self.pull()

    def pull(self) -> list[Response]:
        """Read what is due, after a change of the view for instance."""
        got = []
        while (reply := self.session.next_reply()) is not None:
            got.append(self._read(reply))
        return got

    def _read(self, reply: Reply) -> Response:
        self.replies.append(reply)
        response = decode(reply, delta=self.delta)
        assert (response.type_url, response.nonce) == (reply.type_url, reply.nonce)
        assert response.nonce, "c008: a nonce is never empty"
        assert (response.type_url, response.nonce) not in self.nonces, "c008: a nonce is never used twice"
        self.nonces.add((response.type_url, response.nonce))
        return response

    def release(self) -> list[Response]:
        """The gate's time is over."""
        held = self.session.held
        assert held is not None, "nothing is held"
        assert self.session.release(held)
        return self.pull()


class SotwClient(Client):
    delta = False

    def __init__(self, view: View, **options: Any) -> None:
        super().__init__(view, **options)
        self.wanted: dict[str, list[str]] = {}
        self.last: dict[str, Response] = {}

    def _read(self, reply: Reply) -> Response:
        response = self.last[reply.type_url] = super()._read(reply)
        return response

    def ask(
        self, type_url: str, names: Sequence[str] = (), *, version: str = "", nonce: str | None = None
    ) -> list[Response]:
        """Subscribe to exactly these names, with the nonce of the last response unless another is given."""
        self.wanted[type_url] = list(names)
        if nonce is None:
            nonce = self.last[type_url].nonce if type_url in self.last else ""
        return self.send(Sotw(type_url, names, version, nonce))

    def ack(self, response: Response) -> list[Response]:
        return self.send(
            Sotw(response.type_url, self.wanted.get(response.type_url, []), response.version, response.nonce)
        )

    def nack(self, response: Response, text: str = "no") -> list[Response]:
        wanted = self.wanted.get(response.type_url, [])
        return self.send(Sotw(response.type_url, wanted, "", response.nonce, Detail(13, text)))


class DeltaClient(Client):
    delta = True

    def ask(
        self,
        type_url: str,
        add: Sequence[str] = (),
        drop: Sequence[str] = (),
        *,
        initial: Mapping[str, str] | None = None,
        nonce: str = "",
    ) -> list[Response]:
        """Change the subscription."""
        return self.send(Delta(type_url, add, drop, initial or {}, nonce))

    def ack(self, response: Response) -> list[Response]:
        return self.send(Delta(response.type_url, response_nonce=response.nonce))

    def nack(self, response: Response, text: str = "no") -> list[Response]:
        return self.send(Delta(response.type_url, response_nonce=response.nonce, error_detail=Detail(13, text)))


def settle(client: SotwClient | DeltaClient, responses: Iterable[Response]) -> list[Response]:
    """Acknowledge these responses, those that follow from that, and so on; returns all of them in order."""
    waiting, seen = list(responses), []
    while waiting:
        seen.append(waiting.pop(0))
        waiting += client.ack(seen[-1])
        assert len(seen) < 1000, "an endless conversation"
    return seen


def view_of(*records: Record) -> View:
    """A view with these records."""
    view = View("test")
    view.apply(records, ())
    return view
