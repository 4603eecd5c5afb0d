"""An Envoy bootstrap for one node. Pure: facts in, a JSON document out.

JSON, because Envoy's YAML reads an unquoted `n` as false. With the numbers below every gRPC source retries within a
second and a dead control plane is noticed after 7 s.
"""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from legation.settings import split_address
from xds.names import SpiffeId

XDS_CLUSTER: Final = "legation_xds"
SDS_CLUSTER: Final = "legation_sds"
"""Resources name this cluster in their SdsSecretConfig; the name can never change."""

KEEPALIVE_INTERVAL: Final = "5s"
KEEPALIVE_TIMEOUT: Final = "2s"
CONNECT_TIMEOUT: Final = "2s"
RETRY_BASE: Final = "0.25s"
RETRY_MAX: Final = "1s"

_TYPES: Final = "type.googleapis.com/"
_TLS: Final = _TYPES + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_HTTP: Final = _TYPES + "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the bootstrap of a node depends on."""

    node: str
    node_dir: Path
    """The node's certificate files, as `legation enroll` writes them."""
    trust_domain: str
    xds_address: str
    sds_address: str
    cluster: str = ""
    """Envoy's `node.cluster`; the node's name if it is empty."""
    admin_port: int | None = None


def bootstrap(facts: Facts) -> dict[str, Any]:
    """The document. Raises `InvalidSpiffeId` for a name that no node can have."""
    SpiffeId.for_node(facts.trust_domain, facts.node)
    document: dict[str, Any] = {
        "node": {"id": facts.node, "cluster": facts.cluster or facts.node},
        "dynamic_resources": {
            "ads_config": _grpc_source(XDS_CLUSTER),
            "cds_config": {"resource_api_version": "V3", "ads": {}},
            "lds_config": {"resource_api_version": "V3", "ads": {}},
        },
        "static_resources": {
            "clusters": [
                _server(facts, XDS_CLUSTER, facts.xds_address, "xds"),
                _server(facts, SDS_CLUSTER, facts.sds_address, "ca"),
            ]
        },
    }
    if facts.admin_port is not None:
        document["admin"] = {"address": _socket_address("127.0.0.1", facts.admin_port)}
    return document


def to_json(document: dict[str, Any]) -> str:
    """As it is written to a file."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _grpc_source(cluster: str) -> dict[str, Any]:
    back_off = {"base_interval": RETRY_BASE, "max_interval": RETRY_MAX}
    service = {"envoy_grpc": {"cluster_name": cluster, "retry_policy": {"retry_back_off": back_off}}}
    return {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "set_node_on_first_message_only": True,
        "grpc_services": [service],
    }


def _server(facts: Facts, cluster: str, address: str, server: str) -> dict[str, Any]:
    """One of our servers, with mutual TLS."""
    return _cluster(cluster, *split_address(address)) | _tls(facts, server)


def _cluster(name: str, host: str, port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _socket_address(host, port)}}
    keepalive = {"interval": KEEPALIVE_INTERVAL, "timeout": KEEPALIVE_TIMEOUT}
    http2 = {"http2_protocol_options": {"connection_keepalive": keepalive}}
    return {
        "name": name,
        "type": "STRICT_DNS" if _is_dns_name(host) else "STATIC",
        "connect_timeout": CONNECT_TIMEOUT,
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": _HTTP, "explicit_http_config": http2}
        },
    }


def _tls(facts: Facts, server: str) -> dict[str, Any]:
    """Mutual TLS from the node's files; that of the validation context names the one server that is spoken to."""
    context = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "alpn_protocols": ["h2"],
        "tls_certificate_sds_secret_configs": [_from_file(facts, "tls_certificate")],
        "validation_context_sds_secret_config": _from_file(facts, f"{server}_validation"),
    }
    typed = {"@type": _TLS, "common_tls_context": context}
    return {"transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": typed}}


def _from_file(facts: Facts, name: str) -> dict[str, Any]:
    """A secret from a file, read again when `current` in the node's directory is renamed over."""
    source = {
        "path": str(facts.node_dir / f"{name}.json"),
        "watched_directory": {"path": str(facts.node_dir)},
    }
    return {"name": name, "sds_config": {"resource_api_version": "V3", "path_config_source": source}}


def _socket_address(host: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": host, "port_value": port}}


def _is_dns_name(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
