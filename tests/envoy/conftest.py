"""The mesh of web and api, running, for the tests that need real Envoys."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import mesh
from stack import App, Stack, Traffic, free_port, get, stack


class Mesh:
    """client → `port` → web's Envoy → mTLS → api's Envoy → app; a stranger's Envoy on request."""

    def __init__(self, one: Stack) -> None:
        self.stack = one
        self.td = one.trust_domain
        self.port, self.api_port = free_port(), free_port()
        self.app = one.app("blue")

    def spiffe(self, name: str) -> str:
        return f"spiffe://{self.td}/{name}"

    def publish_api(self, app: App | None = None, **route: str) -> None:
        self.stack.resource(
            "api.json",
            mesh.file(
                self.td,
                "api",
                mesh.mtls_listener("api", self.api_port, self.td, self.spiffe("web")),
                mesh.route("api", "app", **route),
                mesh.cluster("app"),
                mesh.endpoints("app", (app or self.app).port),
            ),
        )

    def publish_caller(self, node: str, port: int) -> None:
        self.stack.resource(
            f"{node}.json",
            mesh.file(
                self.td,
                node,
                mesh.listener(node, port, {}),
                mesh.route(node, "api"),
                mesh.mtls_cluster("api", self.spiffe("api")),
                mesh.endpoints("api", self.api_port),
            ),
        )

    def start(self, ttl: str) -> None:
        names = ("web", "api", "stranger")
        self.stack.entries("".join(f"- {{node: {n}, spiffe_id: '{self.spiffe(n)}', ttl: {ttl}}}\n" for n in names))
        self.publish_api()
        self.publish_caller("web", self.port)
        self.stack.envoy("api")
        self.stack.envoy("web")
        self.stack.wait("the first request through mTLS", lambda: get(self.port).status == 200)

    def traffic(self) -> Traffic:
        return Traffic(self.port)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Mesh]:
    """The mesh with certificates of an hour."""
    with stack(tmp_path) as one:
        made = Mesh(one)
        made.start("1h")
        yield made


@pytest.fixture
def rotating(tmp_path: Path) -> Iterator[Mesh]:
    """The mesh with certificates of 10 s, which rotate every 5 to 7.5 s."""
    with stack(tmp_path) as one:
        made = Mesh(one)
        made.start("10s")
        yield made
