"""Message types that the checks know by name. Each name is checked against the API that we carry by a test."""

from __future__ import annotations

import enum
from typing import Final

from xds.api.sds import SECRET_CONFIG


class Kind(enum.Enum):
    """How bad it is if the cluster does not exist."""

    TRAFFIC = "traffic"
    """Requests go there; they fail."""
    SERVICE = "service"
    """A filter, a tracer or a log calls it; a bootstrap that is not ours may define it."""


ROUTES: Final = "envoy.config.route.v3"
NETWORK: Final = "envoy.extensions.filters.network"
UDP_PROXY: Final = "envoy.extensions.filters.udp.udp_proxy.v3"
HCM: Final = f"{NETWORK}.http_connection_manager.v3"
CLUSTER: Final = "envoy.config.cluster.v3.Cluster"
ROUTE_CONFIGURATION: Final = f"{ROUTES}.RouteConfiguration"
RDS: Final = f"{HCM}.Rds"
SERVER_TLS: Final = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"

CLUSTER_FIELDS: Final[dict[str, tuple[str, Kind]]] = {
    f"{ROUTES}.RouteAction": ("cluster", Kind.TRAFFIC),
    f"{ROUTES}.RouteAction.RequestMirrorPolicy": ("cluster", Kind.TRAFFIC),
    f"{ROUTES}.WeightedCluster.ClusterWeight": ("name", Kind.TRAFFIC),
    f"{NETWORK}.tcp_proxy.v3.TcpProxy": ("cluster", Kind.TRAFFIC),
    f"{NETWORK}.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight": ("name", Kind.TRAFFIC),
    f"{NETWORK}.thrift_proxy.v3.RouteAction": ("cluster", Kind.TRAFFIC),
    f"{NETWORK}.thrift_proxy.v3.WeightedCluster.ClusterWeight": ("name", Kind.TRAFFIC),
    f"{NETWORK}.dubbo_proxy.v3.RouteAction": ("cluster", Kind.TRAFFIC),
    f"{NETWORK}.generic_proxy.action.v3.RouteAction": ("cluster", Kind.TRAFFIC),
    f"{NETWORK}.redis_proxy.v3.RedisProxy.PrefixRoutes.Route": ("cluster", Kind.TRAFFIC),
    f"{UDP_PROXY}.UdpProxyConfig": ("cluster", Kind.TRAFFIC),
    f"{UDP_PROXY}.Route": ("cluster", Kind.TRAFFIC),
    "envoy.extensions.clusters.aggregate.v3.ClusterConfig": ("clusters", Kind.TRAFFIC),
    "envoy.config.core.v3.GrpcService.EnvoyGrpc": ("cluster_name", Kind.SERVICE),
    "envoy.config.core.v3.HttpUri": ("cluster", Kind.SERVICE),
    "envoy.config.trace.v3.ZipkinConfig": ("collector_cluster", Kind.SERVICE),
    "envoy.config.trace.v3.DatadogConfig": ("collector_cluster", Kind.SERVICE),
}

TLS: Final = "envoy.extensions.transport_sockets.tls.v3"
TLS_V2: Final = "envoy.api.v2.auth"
CORE: Final = "envoy.config.core.v3"
CORE_V2: Final = "envoy.api.v2.core"
CALLS: Final = "GrpcService.GoogleGrpc.CallCredentials"
CALL_CREDENTIALS: Final = "envoy.extensions.grpc_service.call_credentials"

REFUSED_MESSAGES: Final = {
    f"{TLS}.Secret": "is a secret",
    f"{TLS_V2}.Secret": "is a secret",
    f"{TLS}.PrivateKeyProvider": "configures a holder of keys",
    f"{TLS_V2}.PrivateKeyProvider": "configures a holder of keys",
    f"{TLS}.TlsKeyLog": "makes Envoy write the keys of its connections to a file",
}
"""They exist only to hold keys, or to write them out."""

REFUSED_FIELDS: Final = {
    **{f"{core}.{CALLS}": frozenset({"access_token", "google_refresh_token"}) for core in (CORE, CORE_V2)},
    **{f"{core}.{CALLS}.ServiceAccountJWTAccessCredentials": frozenset({"json_key"}) for core in (CORE, CORE_V2)},
    **{f"{core}.{CALLS}.GoogleIAMCredentials": frozenset({"authorization_token"}) for core in (CORE, CORE_V2)},
    **{f"{core}.{CALLS}.StsService": frozenset({"subject_token_path", "actor_token_path"}) for core in (CORE, CORE_V2)},
    f"{CALL_CREDENTIALS}.sts_service.v3.StsServiceCredentials": frozenset({"subject_token_path", "actor_token_path"}),
    f"{CALL_CREDENTIALS}.access_token.v3.AccessTokenCredentials": frozenset({"token"}),
    f"{CALL_CREDENTIALS}.google_iam.v3.GoogleIamCredentials": frozenset({"authorization_token"}),
    f"{CALL_CREDENTIALS}.google_refresh_token.v3.GoogleRefreshTokenCredentials": frozenset({"token"}),
    f"{CALL_CREDENTIALS}.service_account_jwt_access.v3.ServiceAccountJwtAccessCredentials": frozenset({"json_key"}),
    "envoy.config.trace.v3.LightstepConfig": frozenset({"access_token", "access_token_file"}),
    "envoy.extensions.filters.http.aws_lambda.v3.Credentials": frozenset({"secret_access_key", "session_token"}),
}
"""They hold a credential, or say where one is, and lack the annotation in the API that we carry."""

DATA_SOURCES: Final = frozenset({f"{CORE}.DataSource", f"{CORE_V2}.DataSource"})
"""They have a field `filename`."""

WANTED: Final = frozenset(
    {*CLUSTER_FIELDS, RDS, CLUSTER, SECRET_CONFIG, SERVER_TLS, *REFUSED_MESSAGES, *REFUSED_FIELDS}
)
"""What a walk must not pass by."""
