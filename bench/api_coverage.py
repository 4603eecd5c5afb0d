"""`python bench/api_coverage.py` prints which extension types of a real Envoy the API that we carry lacks.

An Envoy names all its extensions, each with the types of its configuration, in the Node of its first request.
"""

from __future__ import annotations

import argparse
import json
import queue
import subprocess
import sys
import tempfile
from concurrent import futures
from pathlib import Path
from typing import Any, Final

import grpc

from legation.envoy import find_envoy
from xds.api.descriptors import envoy_api
from xds.names import PREFIX

WAIT_S: Final = 30
DELTA: Final = "envoy.service.discovery.v3.DeltaDiscoveryRequest"


class _Listening(grpc.GenericRpcHandler):
    """Keeps the first message of whatever stream is opened."""

    def __init__(self) -> None:
        self.first: queue.Queue[bytes] = queue.Queue()

    def service(self, handler_call_details: Any) -> Any:  # noqa: ARG002 - gRPC's signature
        def stream(requests: Any, context: Any) -> Any:
            self.first.put(next(requests))
            context.abort(grpc.StatusCode.UNAVAILABLE, "thank you")
            yield b""

        return grpc.stream_stream_rpc_method_handler(stream)


def bootstrap(port: int) -> dict[str, Any]:
    """The least that makes an Envoy ask."""
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    http2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {"@type": PREFIX + http2, "explicit_http_config": {"http2_protocol_options": {}}}
    cluster = {
        "name": "xds",
        "typed_extension_protocol_options": {http2: options},
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    ads = {
        "api_type": "DELTA_GRPC",
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
    }
    return {
        "node": {"id": "coverage", "cluster": "coverage"},
        "static_resources": {"clusters": [cluster]},
        "dynamic_resources": {"ads_config": ads, "cds_config": {"ads": {}, "resource_api_version": "V3"}},
    }


def node() -> Any:
    """The Node that the installed Envoy sends."""
    listening = _Listening()
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[listening], options=[("grpc.so_reuseport", 0)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "bootstrap.json"
        config.write_text(json.dumps(bootstrap(port)))
        command = [str(find_envoy()), "-c", str(config), "--concurrency", "1", "-l", "off", "--use-dynamic-base-id"]
        process = subprocess.Popen(command)
        try:
            first = listening.first.get(timeout=WAIT_S)
        finally:
            process.kill()
            process.wait()
            server.stop(0).wait()
    return envoy_api().message(DELTA).FromString(first).node  # type: ignore[attr-defined]


def coverage(extensions: Any) -> tuple[list[str], dict[str, list[str]]]:
    """Types that we carry, and those that we lack with the extensions that take them."""
    users: dict[str, list[str]] = {}
    for extension in extensions:
        for name in extension.type_urls:
            users.setdefault(name, []).append(extension.name)
    known = sorted(name for name in users if envoy_api().known(PREFIX + name))
    return known, {name: users[name] for name in sorted(users) if name not in known}


def main() -> int:
    """Ask and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    wanted = parser.parse_args()
    asked = node()
    known, missing = coverage(asked.extensions)
    build = asked.user_agent_build_version.version
    version = f"{build.major_number}.{build.minor_number}.{build.patch}"
    if wanted.json:
        print(json.dumps({"envoy": version, "api": envoy_api().version, "known": known, "missing": missing}, indent=1))
        return 0
    print(f"Envoy {version} takes {len(known) + len(missing)} types; {envoy_api().version} has {len(known)} of them.")
    for name, users in missing.items():
        print(f"  {name}  ({', '.join(sorted(set(users)))})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
