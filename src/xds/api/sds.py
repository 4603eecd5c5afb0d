"""The one form in which resources refer to a secret. Its bytes never change: Envoy keys its secret providers by them.

The values are facts about Envoy: it must not wait long for a secret (every port of that Envoy waits with it), and it
must come back within a second after an outage (its own default waits up to 30 s).
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import json_format

from xds.api.descriptors import envoy_api

SDS_CLUSTER: Final = "legation_sds"
XDS_CLUSTER: Final = "legation_xds"
"""Clusters of every bootstrap that `legation bootstrap` writes; resources may name them without defining them."""

SECRET_CONFIG: Final = "envoy.extensions.transport_sockets.tls.v3.SdsSecretConfig"  # noqa: S105 - a type
CONFIG_SOURCE: Final = "envoy.config.core.v3.ConfigSource"


def sds_source() -> dict[str, Any]:
    """The `sds_config` block, in proto3 JSON."""
    back_off = {"base_interval": "0.25s", "max_interval": "1s"}
    grpc = {"cluster_name": SDS_CLUSTER, "retry_policy": {"retry_back_off": back_off}}
    return {
        "resource_api_version": "V3",
        "initial_fetch_timeout": "2s",
        "api_config_source": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [{"envoy_grpc": grpc}],
        },
    }


def secret_config(name: str) -> dict[str, Any]:
    """`SdsSecretConfig` in proto3 JSON: the secret of that name, from our SDS."""
    return {"name": name, "sds_config": sds_source()}


def sds_source_bytes() -> bytes:
    """The serialised `ConfigSource`."""
    return _serialised(CONFIG_SOURCE, sds_source())


def secret_config_bytes(name: str) -> bytes:
    """The serialised `SdsSecretConfig`."""
    return _serialised(SECRET_CONFIG, secret_config(name))


def _serialised(full_name: str, value: dict[str, Any]) -> bytes:
    api = envoy_api()
    message = json_format.ParseDict(value, api.message(full_name)(), descriptor_pool=api.pool)
    return message.SerializeToString(deterministic=True)
