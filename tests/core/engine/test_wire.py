"""The envelope: what is read of a request, and what is refused."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import pytest
from fakes.protocol import message as envoy

from xds.engine import wire
from xds.engine.session import Session
from xds.engine.view import View
from xds.errors import Fault, LocalError, PeerError
from xds.names import CLUSTER

NODE = {
    "id": "n",
    "cluster": "c",
    "locality": {"region": "r", "zone": "z", "sub_zone": "s"},
    "metadata": {"role": "web", "weights": [1, 2]},
    "user_agent_name": "envoy",
    "user_agent_version": "1.40.0",
}


def node(**changes) -> bytes:
    return envoy("envoy.config.core.v3.Node")(**{**NODE, **changes}).SerializeToString()


def test_a_sotw_request_of_a_real_client() -> None:
    sent = envoy("envoy.service.discovery.v3.DiscoveryRequest")(
        version_info="v",
        node=NODE,
        resource_names=["a", "b"],
        type_url=CLUSTER,
        response_nonce="n",
        error_detail={"code": 13, "message": "no", "details": [{"type_url": "x/y"}]},
    )
    request = wire.parse_sotw(sent.SerializeToString())
    assert (request.version_info, request.type_url, request.response_nonce) == ("v", CLUSTER, "n")
    assert request.resource_names == ["a", "b"]
    assert (request.HasField("error_detail"), request.error_detail.code, request.error_detail.message) == (
        True,
        13,
        "no",
    )
    assert wire.parse_node(request.node).id == "n"


def test_a_delta_request_of_a_real_client() -> None:
    sent = envoy("envoy.service.discovery.v3.DeltaDiscoveryRequest")(
        node=NODE,
        type_url=CLUSTER,
        resource_names_subscribe=["a"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"c": "1"},
        response_nonce="n",
    )
    request = wire.parse_delta(sent.SerializeToString())
    assert (request.type_url, request.response_nonce, request.HasField("error_detail")) == (CLUSTER, "n", False)
    assert (request.resource_names_subscribe, request.resource_names_unsubscribe) == (["a"], ["b"])
    assert dict(request.initial_resource_versions) == {"c": "1"}


def test_sessions_take_parsed_requests() -> None:
    view = View()
    for delta, parse, name in ((True, wire.parse_delta, "Delta"), (False, wire.parse_sotw, "")):
        session = Session(view, delta=delta, allowed=None)
        kind = envoy(f"envoy.service.discovery.v3.{name}DiscoveryRequest")
        reply = session.on_request(parse(kind(type_url=CLUSTER).SerializeToString()))
        assert session.on_request(parse(kind(type_url=CLUSTER, response_nonce=reply.nonce).SerializeToString())) is None
        assert not session.status()[0].in_flight


@pytest.mark.parametrize("parse", [wire.parse_sotw, wire.parse_delta, wire.parse_node])
@pytest.mark.parametrize("data", [b"\xff", b"\x0a\x05a", b"\x22\x01\xff"])
def test_c100_garbage_ends_the_stream(parse, data: bytes) -> None:
    with pytest.raises(PeerError) as caught:
        parse(data + b"\x0a\xff")
    assert caught.value.fault is Fault.INVALID


def test_a_node_is_what_decides_about_a_view() -> None:
    info = wire.parse_node(node())
    assert (info.id, info.cluster, info.region, info.zone, info.sub_zone) == ("n", "c", "r", "z", "s")
    assert info.user_agent == "envoy/1.40.0"
    assert wire.metadata_dict(info) == {"role": "web", "weights": [1.0, 2.0]}
    assert info.hash == wire.node_hash(node()) != wire.node_hash(node(id="m"))
    assert "metadata" not in repr(info)
    assert wire.parse_node(b"").user_agent == ""
    assert wire.metadata_dict(wire.parse_node(b"")) == {}


def test_metadata_that_is_none() -> None:
    info = wire.parse_node(b"\x1a\x01\xff")
    with pytest.raises(PeerError):
        wire.metadata_dict(info)


def test_other_messages_of_ours() -> None:
    assert wire.message("legation.signer.v1.Request").DESCRIPTOR.full_name == "legation.signer.v1.Request"
    assert wire.message("legation.signer.v1.Request") is wire.message("legation.signer.v1.Request")
    with pytest.raises(KeyError):
        wire.message("legation.Nothing")


def test_a_missing_descriptor_set_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.resources, "files", lambda _: tmp_path)
    with pytest.raises(LocalError, match="install the package"):
        wire._pool.__wrapped__()
