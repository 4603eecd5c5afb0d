"""The images, built and run as real containers; and the demo of compose.yaml made of them."""

from __future__ import annotations

import json
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import compose
import pytest
from engine import LIMITS, WORK, Engine
from image_layers import secrets_in

pytestmark = [pytest.mark.slow, pytest.mark.envoy]

CONTROL_PLANE = "localhost/legation/control-plane"
ENVOY = "localhost/legation/envoy"
HARDENED = ("--read-only", "--read-only-tmpfs=false", "--cap-drop", "all", "--security-opt", "no-new-privileges")
STATUS = ("legation", "status", "--config", "/etc/legation/legation.yaml")
STATISTICS = r"""exec 3<> /dev/tcp/127.0.0.1/9901
printf 'GET /stats?filter=http.slow.downstream_rq_active HTTP/1.1\r\nHost: envoy\r\nConnection: close\r\n\r\n' >&3
cat <&3
"""


@pytest.fixture(params=[CONTROL_PLANE, ENVOY])
def image(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def name(engine: Engine) -> Iterator[str]:
    """For one container."""
    yield "one"
    engine.remove("one")


@pytest.fixture
def demo(engine: Engine) -> Iterator[Engine]:
    try:
        compose.up(engine)
        yield engine
    finally:
        compose.down(engine)


def test_an_image_runs_as_nobody_and_takes_nothing_from_the_build(engine: Engine, image: str) -> None:
    found = engine.image(image)
    assert found["User"] == "10001:10001"
    assert [one for one in found["Config"]["Env"] if not one.startswith("PATH=")] == []
    assert found["Healthcheck"]["Test"][0] == "CMD"


def test_no_layer_of_an_image_holds_a_secret(engine: Engine, image: str) -> None:
    target = WORK / "layers"
    engine.buildah("push", "--quiet", image, f"dir:{target}")
    try:
        manifest = json.loads(engine.path(target / "manifest.json").read_text())
        _base, *ours = [layer["digest"].removeprefix("sha256:") for layer in manifest["layers"]]
        assert ours
        for layer in ours:
            with tarfile.open(engine.path(target / layer)) as archive:
                assert secrets_in(archive) == []
    finally:
        engine.run("rm", "-rf", str(target))


def test_the_control_plane_starts_is_healthy_and_drains(engine: Engine, name: str) -> None:
    engine.start(name, "--network", "none", "--tmpfs", "/tmp", *HARDENED, CONTROL_PLANE)
    engine.wait(name, lambda: engine.healthy(name))
    engine.podman("exec", name, *STATUS)
    assert engine.stop(name) == 0, engine.logs(name)
    assert engine.logs(name).rstrip().endswith("legation ended")


def test_envoy_says_its_version(engine: Engine) -> None:
    options = ("--rm", "--no-healthcheck", "--network", "none", *LIMITS, *HARDENED)
    assert "/1.40.0/" in engine.podman("run", *options, ENVOY, "--version").stdout


def test_envoy_answers_what_it_has_begun_before_it_ends(engine: Engine, name: str) -> None:
    config = (Path(__file__).parent / "slow_envoy.yaml").read_text()
    engine.start(name, "--publish", "127.0.0.1:10000:10000", *HARDENED, ENVOY, "--config-yaml", config)
    engine.wait(name, lambda: engine.healthy(name))
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(engine.ask(10000)))
    asking.start()
    engine.wait(name, lambda: "active: 1" in engine.podman("exec", name, "bash", "-c", STATISTICS).stdout)
    code = engine.stop(name)
    asking.join()
    assert (answers, code) == (["200 slow"], 0), engine.logs(name)


def test_the_demo_of_compose_works_and_ends_in_order(demo: Engine) -> None:
    for name in ("web", "api"):
        demo.wait(name, lambda name=name: demo.healthy(name))
    demo.wait("web", lambda: demo.ask(10000) == "200 hello from the app; you came as spiffe://demo.legation/web")
    assert demo.ask(10101).startswith("403 ")
    demo.podman("exec", "control-plane", *STATUS)
    codes = {name: demo.stop(name) for name in ("web", "api", "control-plane")}
    assert codes == dict.fromkeys(codes, 0)
