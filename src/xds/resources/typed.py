"""The pieces that resources in Python need from us, as envoy-data-plane's classes."""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import AggregatedConfigSource, ApiVersion, ConfigSource
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import SdsSecretConfig

from xds.api.sds import secret_config_bytes


def secret_config(name: str) -> SdsSecretConfig:
    """The secret of that name, from our SDS: `default` is the node's own certificate, `ROOTCA` the bundle of roots."""
    return SdsSecretConfig.parse(secret_config_bytes(name))


def ads_config() -> ConfigSource:
    """The stream that the resource itself came over: for endpoints of a cluster and routes of a listener."""
    return ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
