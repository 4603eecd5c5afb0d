"""Resources of a small mesh, as JSON: client → web's Envoy → mTLS → api's Envoy (RBAC: only web gets in) → app."""

from __future__ import annotations

import json
from typing import Any

PREFIX = "type.googleapis.com/"
ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "1s"}
TLS = PREFIX + "envoy.extensions.transport_sockets.tls.v3."
ROUTER = {
    "name": "router",
    "typed_config": {"@type": PREFIX + "envoy.extensions.filters.http.router.v3.Router"},
}


def sds(name: str) -> dict[str, Any]:
    """The one constant reference to a secret."""
    back_off = {"retry_back_off": {"base_interval": "0.25s", "max_interval": "1s"}}
    return {
        "name": name,
        "sds_config": {
            "resource_api_version": "V3",
            "initial_fetch_timeout": "2s",
            "api_config_source": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": "legation_sds", "retry_policy": back_off}}],
            },
        },
    }


def tls_context(*peers: str) -> dict[str, Any]:
    """Own SVID and bundle by SDS; whom to expect at the other end stands here, by whole SPIFFE IDs."""
    matchers = [{"san_type": "URI", "matcher": {"exact": peer}} for peer in peers]
    return {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"},
        "tls_certificate_sds_secret_configs": [sds("default")],
        "combined_validation_context": {
            "default_validation_context": {"match_typed_subject_alt_names": matchers},
            "validation_context_sds_secret_config": sds("ROOTCA"),
        },
    }


def file(trust_domain: str, node: str, *resources: dict[str, Any]) -> str:
    """A resource file for one node."""
    selectors = [{"spiffe_id": f"spiffe://{trust_domain}/cp/node/{node}"}]
    return json.dumps({"nodes": selectors, "resources": list(resources)}, indent=1)


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def listener(name: str, port: int, chain: dict[str, Any], *before: dict[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": PREFIX + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "rds": {"route_config_name": name, "config_source": ADS},
        "http_filters": [*before, ROUTER],
    }
    return {
        "@type": PREFIX + "envoy.config.listener.v3.Listener",
        "name": name,
        "address": address(port),
        "filter_chains": [{"name": name, **chain, "filters": [{"name": "http", "typed_config": manager}]}],
    }


def mtls_listener(name: str, port: int, trust_domain: str, allowed: str) -> dict[str, Any]:
    """TLS for anyone of the trust domain, RBAC for one ID only: what a stranger meets is the 403."""
    context = tls_context()
    context["combined_validation_context"]["default_validation_context"] = {
        "match_typed_subject_alt_names": [
            {"san_type": "URI", "matcher": {"prefix": f"spiffe://{trust_domain}/"}},
        ]
    }
    transport = {
        "name": "tls",
        "typed_config": {
            "@type": TLS + "DownstreamTlsContext",
            "require_client_certificate": True,
            "common_tls_context": context,
        },
    }
    rbac = {
        "name": "rbac",
        "typed_config": {
            "@type": PREFIX + "envoy.extensions.filters.http.rbac.v3.RBAC",
            "rules": {
                "action": "ALLOW",
                "policies": {
                    "peer": {
                        "permissions": [{"any": True}],
                        "principals": [{"authenticated": {"principal_name": {"exact": allowed}}}],
                    }
                },
            },
        },
    }
    return listener(name, port, {"transport_socket": transport}, rbac)


def cluster(name: str, **more: Any) -> dict[str, Any]:
    return {
        "@type": PREFIX + "envoy.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "connect_timeout": "2s",
        "eds_cluster_config": {"eds_config": ADS},
        **more,
    }


def mtls_cluster(name: str, peer: str) -> dict[str, Any]:
    transport = {
        "name": "tls",
        "typed_config": {"@type": TLS + "UpstreamTlsContext", "common_tls_context": tls_context(peer)},
    }
    return cluster(name, transport_socket=transport)


def endpoints(name: str, *ports: int) -> dict[str, Any]:
    return {
        "@type": PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}} for port in ports]}],
    }


def route(name: str, to: str, prefix: str = "/") -> dict[str, Any]:
    return {
        "@type": PREFIX + "envoy.config.route.v3.RouteConfiguration",
        "name": name,
        "virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": prefix}, "route": {"cluster": to}}]}
        ],
    }
