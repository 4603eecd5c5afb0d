"""What a resource refers to: what it makes a client fetch, which clusters it names, and how it asks for secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from xds.api.paths import Path, path_text
from xds.api.sds import SDS_CLUSTER, SECRET_CONFIG, XDS_CLUSTER, sds_source_bytes
from xds.api.tables import CLUSTER, CLUSTER_FIELDS, RDS, ROUTE_CONFIGURATION, SERVER_TLS, Kind
from xds.api.walk import Visit, walker
from xds.names import ENDPOINT, ROUTE


class Reference(NamedTuple):
    """A resource names a cluster."""

    cluster: str
    field: str
    kind: Kind


class Advice(NamedTuple):
    """Something that Envoy takes and that is not what was meant."""

    field: str
    sentence: str


STATIC_CLUSTERS: Final = frozenset({SDS_CLUSTER, XDS_CLUSTER})


class References:
    """Collects the references of one resource, message by message."""

    __slots__ = ("_unchecked", "advice", "children", "clusters")

    def __init__(self) -> None:
        self.children: list[tuple[str, str]] = []
        self.clusters: list[Reference] = []
        self.advice: list[Advice] = []
        self._unchecked: list[str] = []

    def look(self, visit: Visit) -> None:
        """Note what this message refers to."""
        name = visit.message.DESCRIPTOR.full_name
        field = CLUSTER_FIELDS.get(name)
        if field is not None:
            self._clusters(visit, *field)
        elif (read := _READERS.get(name)) is not None:
            read(self, visit)

    def checkable(self) -> tuple[Reference, ...]:
        """The clusters named, but for those in route tables that say `validate_clusters: false`."""
        return tuple(ref for ref in self.clusters if not any(_below(ref.field, path) for path in self._unchecked))

    def _clusters(self, visit: Visit, field: str, kind: Kind) -> None:
        path: Path = (visit.path, field)
        value = getattr(visit.message, field)
        named: Iterable[tuple[Path, str]]
        named = [(path, value)] if isinstance(value, str) else [((path, i), name) for i, name in enumerate(value)]
        for where, name in named:
            if name and name not in STATIC_CLUSTERS:
                self.clusters.append(Reference(name, path_text(where), kind))

    def _cluster(self, visit: Visit) -> None:
        message: Any = visit.message
        if message.WhichOneof("cluster_discovery_type") != "type" or message.type != message.EDS:
            return
        if _is_ours(message.eds_cluster_config.eds_config):
            self.children.append((ENDPOINT, message.eds_cluster_config.service_name or message.name))

    def _rds(self, visit: Visit) -> None:
        message: Any = visit.message
        if _is_ours(message.config_source) and message.route_config_name:
            self.children.append((ROUTE, message.route_config_name))

    def _route_configuration(self, visit: Visit) -> None:
        message: Any = visit.message
        if message.HasField("validate_clusters") and not message.validate_clusters.value:
            self._unchecked.append(path_text(visit.path))

    def _secret(self, visit: Visit) -> None:
        source: Any = getattr(visit.message, "sds_config")  # noqa: B009 - its class is made at run time
        field = path_text((visit.path, "sds_config"))
        if (
            SDS_CLUSTER in _source_clusters(source)
            and source.SerializeToString(deterministic=True) != sds_source_bytes()
        ):
            self.advice.append(
                Advice(
                    field,
                    f"names {SDS_CLUSTER}, but not in the form that `legation snippet secret NAME` prints; Envoy takes"
                    " each form for a source of its own, so it fetches secrets twice and rotates them one by one",
                ),
            )
        if source.HasField("initial_fetch_timeout") and not source.initial_fetch_timeout.ToNanoseconds():
            self.advice.append(
                Advice(field, "initial_fetch_timeout 0: while the secret is missing no port of that Envoy opens")
            )

    def _server_tls(self, visit: Visit) -> None:
        message: Any = visit.message
        validated = message.common_tls_context.WhichOneof("validation_context_type")
        if message.require_client_certificate.value and validated is None:
            field = path_text((visit.path, "require_client_certificate"))
            self.advice.append(Advice(field, "without a validation context any client certificate is accepted"))


_READERS: Final = {
    CLUSTER: References._cluster,  # noqa: SLF001 - this module's own dispatch
    RDS: References._rds,  # noqa: SLF001
    ROUTE_CONFIGURATION: References._route_configuration,  # noqa: SLF001
    SECRET_CONFIG: References._secret,  # noqa: SLF001
    SERVER_TLS: References._server_tls,  # noqa: SLF001
}


def references(message: Message) -> References:
    """Everything the resource refers to. Raises `UnknownContent`."""
    found = References()
    for visit in walker().walk(message):
        found.look(visit)
    return found


def children(message: Message) -> tuple[tuple[str, str], ...]:
    """(type URL, name) of what this resource makes a client fetch: a cluster's endpoints, a listener's routes."""
    return unique(references(message).children)


def route_clusters(message: Message) -> tuple[str, ...]:
    """Clusters that requests are sent to, in the order of their names."""
    return tuple(sorted({ref.cluster for ref in references(message).checkable() if ref.kind is Kind.TRAFFIC}))


def unique(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Without repetitions, in order."""
    return tuple(dict.fromkeys(pairs))


def _is_ours(source: Any) -> bool:
    """True if the client asks us: over ADS, where the resource itself came from, or over our own cluster."""
    return source.WhichOneof("config_source_specifier") in {"ads", "self"} or XDS_CLUSTER in _source_clusters(source)


def _source_clusters(source: Any) -> Iterator[str]:
    for service in source.api_config_source.grpc_services:
        yield service.envoy_grpc.cluster_name
    yield from source.api_config_source.cluster_names


def _below(field: str, path: str) -> bool:
    return not path or field.startswith(path + ".")
