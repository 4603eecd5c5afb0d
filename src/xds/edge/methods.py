"""Envoy's discovery services: which gRPC method carries which type, in which protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from xds import names


@dataclass(frozen=True, slots=True)
class Method:
    """One gRPC method of a discovery service."""

    service: str
    method: str
    delta: bool
    type_url: str | None
    """None: aggregated, every request names its type."""
    fetch: bool = False
    """Unary: one request, one answer."""

    @property
    def path(self) -> str:
        """As it stands on the wire."""
        return f"/{self.service}/{self.method}"


def _of(service: str, noun: str, type_url: str) -> tuple[Method, ...]:
    full = f"envoy.service.{service}"
    return (
        Method(full, f"Stream{noun}", delta=False, type_url=type_url),
        Method(full, f"Delta{noun}", delta=True, type_url=type_url),
        Method(full, f"Fetch{noun}", delta=False, type_url=type_url, fetch=True),
    )


_ADS: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"

ADS_METHODS: Final = (
    Method(_ADS, "StreamAggregatedResources", delta=False, type_url=None),
    Method(_ADS, "DeltaAggregatedResources", delta=True, type_url=None),
)
LDS_METHODS: Final = _of("listener.v3.ListenerDiscoveryService", "Listeners", names.LISTENER)
RDS_METHODS: Final = _of("route.v3.RouteDiscoveryService", "Routes", names.ROUTE)
SRDS_METHODS: Final = _of("route.v3.ScopedRoutesDiscoveryService", "ScopedRoutes", names.SCOPED_ROUTE)
VHDS_METHODS: Final = (
    Method("envoy.service.route.v3.VirtualHostDiscoveryService", "DeltaVirtualHosts", True, names.VIRTUAL_HOST),
)
CDS_METHODS: Final = _of("cluster.v3.ClusterDiscoveryService", "Clusters", names.CLUSTER)
EDS_METHODS: Final = _of("endpoint.v3.EndpointDiscoveryService", "Endpoints", names.ENDPOINT)
RTDS_METHODS: Final = _of("runtime.v3.RuntimeDiscoveryService", "Runtime", names.RUNTIME)
ECDS_METHODS: Final = _of("extension.v3.ExtensionConfigDiscoveryService", "ExtensionConfigs", names.EXTENSION)
SDS_METHODS: Final = _of("secret.v3.SecretDiscoveryService", "Secrets", names.SECRET)

XDS_METHODS: Final = (
    *ADS_METHODS,
    *LDS_METHODS,
    *RDS_METHODS,
    *SRDS_METHODS,
    *VHDS_METHODS,
    *CDS_METHODS,
    *EDS_METHODS,
    *RTDS_METHODS,
    *ECDS_METHODS,
)
"""All but secrets: what the management server registers."""

ADS_TYPES: Final = frozenset(method.type_url for method in XDS_METHODS if method.type_url is not None)
"""What an aggregated stream carries. Requests for other types have no answer there."""


def served_types(methods: Iterable[Method]) -> frozenset[str]:
    """The types that a server of these methods answers."""
    own = [frozenset({method.type_url}) if method.type_url is not None else ADS_TYPES for method in methods]
    return frozenset().union(*own)
