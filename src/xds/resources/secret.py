"""The constant form in which resources refer to a secret, as bytes and as proto3 JSON; `xds.api.sds` says why."""

from xds.api.sds import SDS_CLUSTER, sds_source, sds_source_bytes, secret_config, secret_config_bytes

__all__ = ["SDS_CLUSTER", "sds_source", "sds_source_bytes", "secret_config", "secret_config_bytes"]
