"""The mesh of web and api, running, for the tests that need real Envoys."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

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

    def publish_api(self, app: App | None = None, *, name: str = "app", **cluster: object) -> None:
        """What api's Envoy gets: a listener, and a route to one cluster with an application, which may be the first."""
        self.stack.resource(
            "api.json",
            mesh.file(
                self.td,
                "api",
                mesh.mtls_listener("api", self.api_port, self.td, self.spiffe("web")),
                mesh.route("api", name),
                mesh.cluster(name, **cluster),
                mesh.endpoints(name, (app or self.app).port),
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

    def as_at_first(self) -> None:
        """Take back what a test may have published, and wait until only that is live."""
        self.publish_api()
        self.publish_caller("web", self.port)
        for path in (self.stack.folder / "resources").iterdir():
            if path.name not in {"api.json", "web.json"}:
                path.unlink()
        self.stack.wait("everything is well", self.stack.is_well)
        self.stack.wait("the first application answers", lambda: get(self.port).body.startswith("blue"))

    @contextlib.contextmanager
    def lent(self) -> Iterator[Self]:
        """For one test. What it adds ends with it."""
        processes, apps = len(self.stack.processes), len(self.stack.apps)
        try:
            yield self
        finally:
            try:
                self.as_at_first()
            finally:
                self.stack.close_from(processes, apps)

    def traffic(self) -> Traffic:
        return Traffic(self.port)


def started(folder: Path, ttl: str) -> Iterator[Mesh]:
    with stack(folder) as one:
        made = Mesh(one)
        made.start(ttl)
        yield made


@pytest.fixture(scope="module")
def mesh_of_an_hour(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    yield from started(tmp_path_factory.mktemp("hour"), "1h")


@pytest.fixture(scope="module")
def mesh_of_seconds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    yield from started(tmp_path_factory.mktemp("seconds"), "10s")


@pytest.fixture
def running(mesh_of_an_hour: Mesh) -> Iterator[Mesh]:
    """The mesh with certificates of an hour. The tests of a module share it, and each leaves it as it was first."""
    with mesh_of_an_hour.lent() as made:
        yield made


@pytest.fixture
def rotating(mesh_of_seconds: Mesh) -> Iterator[Mesh]:
    """The mesh with certificates of 10 s, which rotate every 5 to 7.5 s."""
    with mesh_of_seconds.lent() as made:
        yield made
