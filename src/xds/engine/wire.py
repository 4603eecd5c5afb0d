"""The envelope of xDS as protobuf: the only module of the engine that knows protobuf."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory, struct_pb2
from google.protobuf.message import DecodeError, Message

from xds.errors import Fault, LocalError, PeerError

_HASH_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What a client says about itself; nothing of it is verified."""

    id: str
    cluster: str
    region: str
    zone: str
    sub_zone: str
    user_agent: str
    """`envoy/1.40.0`; empty if the client does not say."""
    metadata: bytes = field(repr=False)
    """A serialised `google.protobuf.Struct`, see `metadata_dict`."""
    hash: bytes = field(repr=False)
    """Of the whole Node as it was sent: equal hash, same Node."""


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    resource = importlib.resources.files("xds").joinpath("_gen", "legation.binpb")
    try:
        data = resource.read_bytes()
    except FileNotFoundError as error:
        raise LocalError(f"{resource} is missing: install the package, it is made when the package is built") from error
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    return pool


@functools.cache
def message(full_name: str) -> type[Message]:
    """The class of one of our own messages, `legation.signer.v1.Request` for instance. KeyError if there is none."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))


def _parse(full_name: str, data: bytes, what: str) -> Any:
    try:
        return message(full_name).FromString(data)
    except DecodeError as error:
        raise PeerError(Fault.INVALID, f"{what} cannot be decoded") from error


def parse_sotw(data: bytes) -> Any:
    """A `DiscoveryRequest` (`events.SotwRequest`, and `node` as bytes). Raises `PeerError`."""
    return _parse("legation.discovery.v1.SotwRequest", data, "DiscoveryRequest")


def parse_delta(data: bytes) -> Any:
    """A `DeltaDiscoveryRequest` (`events.DeltaRequest`, and `node` as bytes). Raises `PeerError`."""
    return _parse("legation.discovery.v1.DeltaRequest", data, "DeltaDiscoveryRequest")


def node_hash(data: bytes) -> bytes:
    """The hash that `NodeInfo` carries: an equal one spares parsing the same Node again."""
    return hashlib.blake2b(data, digest_size=_HASH_BYTES).digest()


def parse_node(data: bytes) -> NodeInfo:
    """What of a Node decides about a view. Raises `PeerError`."""
    node = _parse("legation.discovery.v1.Node", data, "Node")
    return NodeInfo(
        id=node.id,
        cluster=node.cluster,
        region=node.locality.region,
        zone=node.locality.zone,
        sub_zone=node.locality.sub_zone,
        user_agent="/".join(filter(None, (node.user_agent_name, node.user_agent_version))),
        metadata=node.metadata,
        hash=node_hash(data),
    )


def metadata_dict(info: NodeInfo) -> dict[str, Any]:
    """The Node's metadata as JSON values. Raises `PeerError`."""
    try:
        struct = struct_pb2.Struct.FromString(info.metadata)
    except DecodeError as error:
        raise PeerError(Fault.INVALID, "Node.metadata cannot be decoded") from error
    return json_format.MessageToDict(struct)
