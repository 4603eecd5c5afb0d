"""`python bench/api_decision.py` repeats the measurements of docs/decisions/0001: the API by descriptors or by classes.

Each figure is the best of several rounds, and memory is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import importlib.resources
import json
import subprocess
import sys
import timeit
import zlib
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from rich.console import Console
from rich.table import Table

ROUNDS = 5

LOAD = {
    "upb, whole API": "from xds.api.descriptors import envoy_api; envoy_api().message('envoy.type.v3.Percent')",
    "envoy-data-plane, cluster, endpoint and TLS": (
        "import envoy_data_plane.envoy.config.cluster.v3, envoy_data_plane.envoy.config.endpoint.v3,"
        " envoy_data_plane.envoy.extensions.transport_sockets.tls.v3"
    ),
}

IN_A_PROCESS = """
import time
def rss():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
import google.protobuf.json_format
before, begin = rss(), time.perf_counter()
{code}
print((time.perf_counter() - begin) * 1000, (rss() - before) / 1024, rss() / 1024)
"""

CLUSTER = {
    "name": "web",
    "type": "EDS",
    "connect_timeout": "1s",
    "eds_cluster_config": {"eds_config": {"ads": {}, "resource_api_version": "V3"}},
    "transport_socket": {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            "sni": "web",
            "common_tls_context": {
                "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": {"ads": {}}}],
                "validation_context_sds_secret_config": {"name": "ROOTCA", "sds_config": {"ads": {}}},
            },
        },
    },
}


def loading(code: str) -> tuple[float, float, float]:
    """Milliseconds, MiB more than before, and MiB of the whole process."""
    runs = []
    for _ in range(ROUNDS):
        command = [sys.executable, "-P", "-c", IN_A_PROCESS.format(code=code)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        runs.append(tuple(map(float, printed.split())))
    took, grown, whole = min(runs)
    return took, grown, whole


def per_call(function: Callable[[], Any], calls: int) -> float:
    """Microseconds."""
    function()
    return min(timeit.repeat(function, number=calls, repeat=ROUNDS)) / calls * 1e6


def by_descriptors() -> dict[str, Callable[[], bytes]]:
    """The same resources with upb's classes, made at run time."""
    from xds.api.descriptors import envoy_api  # noqa: PLC0415 - loading is measured elsewhere

    api = envoy_api()
    cluster = api.message("envoy.config.cluster.v3.Cluster")
    endpoint = api.message("envoy.config.endpoint.v3.LbEndpoint")
    tls_type = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
    tls_class = api.message(tls_type)
    secret = {"sds_config": {"ads": {}}}

    def make_cluster() -> bytes:
        context = {
            "tls_certificate_sds_secret_configs": [{"name": "default", **secret}],
            "validation_context_sds_secret_config": {"name": "ROOTCA", **secret},
        }
        tls = tls_class(sni="web", common_tls_context=context).SerializeToString(deterministic=True)
        config = {"type_url": f"type.googleapis.com/{tls_type}", "value": tls}
        return cluster(
            name="web",
            type=3,
            connect_timeout={"seconds": 1},
            eds_cluster_config={"eds_config": {"ads": {}, "resource_api_version": 2}},
            transport_socket={"name": "envoy.transport_sockets.tls", "typed_config": config},
        ).SerializeToString(deterministic=True)

    def make_endpoint() -> bytes:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": 80}}
        return endpoint(endpoint={"address": address}).SerializeToString(deterministic=True)

    return {"cluster with mTLS": make_cluster, "endpoint": make_endpoint}


def by_classes() -> dict[str, Callable[[], bytes]]:
    """The same resources with envoy-data-plane's typed classes."""
    from datetime import timedelta  # noqa: PLC0415

    from envoy_data_plane.envoy.config.cluster.v3 import (  # noqa: PLC0415 - loading is measured elsewhere
        Cluster,
        ClusterDiscoveryType,
        ClusterEdsClusterConfig,
    )
    from envoy_data_plane.envoy.config.core.v3 import (  # noqa: PLC0415
        Address,
        AggregatedConfigSource,
        ApiVersion,
        ConfigSource,
        SocketAddress,
        TransportSocket,
    )
    from envoy_data_plane.envoy.config.endpoint.v3 import Endpoint, LbEndpoint  # noqa: PLC0415
    from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (  # noqa: PLC0415
        CommonTlsContext,
        SdsSecretConfig,
        UpstreamTlsContext,
    )
    from envoy_data_plane.google.protobuf import Any as AnyMessage  # noqa: PLC0415

    def secret(name: str) -> SdsSecretConfig:
        return SdsSecretConfig(name=name, sds_config=ConfigSource(ads=AggregatedConfigSource()))

    def make_cluster() -> bytes:
        context = CommonTlsContext(
            tls_certificate_sds_secret_configs=[secret("default")],
            validation_context_sds_secret_config=secret("ROOTCA"),
        )
        tls = AnyMessage.pack(UpstreamTlsContext(sni="web", common_tls_context=context))
        source = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)
        return bytes(
            Cluster(
                name="web",
                type=ClusterDiscoveryType.EDS,
                connect_timeout=timedelta(seconds=1),
                eds_cluster_config=ClusterEdsClusterConfig(eds_config=source),
                transport_socket=TransportSocket(name="envoy.transport_sockets.tls", typed_config=tls),
            ),
        )

    def make_endpoint() -> bytes:
        address = Address(socket_address=SocketAddress(address="127.0.0.1", port_value=80))
        return bytes(LbEndpoint(endpoint=Endpoint(address=address)))

    return {"cluster with mTLS": make_cluster, "endpoint": make_endpoint}


def reading() -> dict[str, Callable[[], Any]]:
    """From proto3 JSON to a message, ours and protobuf's."""
    from xds.api.descriptors import envoy_api  # noqa: PLC0415
    from xds.config.decode import decoder  # noqa: PLC0415

    api = envoy_api()
    cluster = api.message("envoy.config.cluster.v3.Cluster")
    return {
        "json_format.ParseDict": lambda: json_format.ParseDict(CLUSTER, cluster(), descriptor_pool=api.pool),
        "xds.config.decode": lambda: decoder().decode(CLUSTER, cluster()),
    }


def measure() -> dict[str, Any]:
    """Every figure of the decision."""
    data = importlib.resources.files("xds").joinpath("_gen", "envoy.binpb").read_bytes()
    upb, typed = by_descriptors(), by_classes()
    return {
        "descriptor set": {"KB": len(data) / 1000, "KB compressed": len(zlib.compress(data, 9)) / 1000},
        "loading (ms, MiB more, MiB in all)": {name: loading(code) for name, code in LOAD.items()},
        "build and serialise (µs: upb, envoy-data-plane)": {
            name: (per_call(upb[name], 2000), per_call(typed[name], 20)) for name in upb
        },
        "read a cluster from JSON (µs)": {name: per_call(function, 300) for name, function in reading().items()},
    }


def show(figures: dict[str, Any]) -> None:
    """A table for people."""
    table = Table("what", "figure")
    for title, rows in figures.items():
        table.add_section()
        table.add_row(f"[bold]{title}")
        for name, value in rows.items():
            values = value if isinstance(value, tuple) else (value,)
            table.add_row(f"  {name}", "  ".join(f"{number:,.4g}" for number in values))
    Console().print(table)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    figures = measure()
    if wanted.json:
        print(json.dumps(figures, indent=1, ensure_ascii=False))
    else:
        show(figures)


if __name__ == "__main__":
    main()
