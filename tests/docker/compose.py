"""`compose.yaml` for podman: each service becomes the words of a `podman run`, in the order of the conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from engine import Engine

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker" / "compose.yaml"
FOR_OTHERS = {
    "image",
    "build",
    "pull_policy",
    "depends_on",
    "command",
    "entrypoint",
    "healthcheck",
    "stop_grace_period",
}
"""Keys that are no option of `run`, or that are read elsewhere."""


def load() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


def in_order(services: dict[str, Any]) -> list[str]:
    """Each service after those that it depends on."""
    done: list[str] = []
    while len(done) < len(services):
        able = [
            name for name in services if name not in done and set(services[name].get("depends_on", {})) <= set(done)
        ]
        assert able, f"a circle among {set(services) - set(done)}"
        done += able
    return done


def run_words(service: dict[str, Any]) -> list[str]:
    """Options, image and command. Fails for a key that this does not know, so nothing in the file goes unseen."""
    words = [word for key, value in service.items() if key not in FOR_OTHERS for word in _option(key, value)]
    entrypoint, command = service.get("entrypoint"), service.get("command", [])
    if entrypoint is not None:
        words += ["--entrypoint", entrypoint[0]]
        command = [*entrypoint[1:], *command]
    return [*words, service["image"], *command]


def _option(key: str, value: Any) -> list[str]:
    match key:
        case "read_only":
            return ["--read-only", "--read-only-tmpfs=false"]  # podman gives a /tmp of its own accord, Docker does not
        case "cap_drop" | "security_opt" | "tmpfs":
            return [f"--{key.replace('_', '-')}={one}" for one in value]
        case "ports":
            return [f"--publish={one}" for one in value]
        case "volumes":
            return [f"--volume={_volume(one)}" for one in value]
        case "network_mode":
            return [f"--network={value.replace('service:', 'container:')}"]
        case "networks":
            return [f"--network={_network(name, value)}" for name in value]
    raise AssertionError(f"compose.yaml has {key}, which this test knows nothing of")


def _volume(text: str) -> str:
    source, rest = text.split(":", 1)
    return f"{(FILE.parent / source).resolve()}:{rest}" if source.startswith(".") else text


def _network(name: str, networks: list[str] | dict[str, Any]) -> str:
    address = networks[name].get("ipv4_address") if isinstance(networks, dict) else None
    return name if address is None else f"{name}:ip={address}"


def build_all(engine: Engine) -> None:
    """Every image that the file builds."""
    for service in load()["services"].values():
        if "build" in service:
            context = (FILE.parent / service["build"]["context"]).resolve()
            engine.build(context, context / service["build"]["dockerfile"], f"localhost/{service['image']}")


def up(engine: Engine) -> None:
    """Everything that the file describes."""
    document = load()
    for name, network in document["networks"].items():
        engine.podman("network", "create", "--subnet", network["ipam"]["config"][0]["subnet"], name)
    for name in in_order(document["services"]):
        service = document["services"][name]
        for other, needed in service.get("depends_on", {}).items():
            _await(engine, other, needed["condition"])
        engine.start(name, *run_words(service))


def _await(engine: Engine, name: str, condition: str) -> None:
    match condition:
        case "service_healthy":
            engine.wait(name, lambda: engine.healthy(name))
        case "service_completed_successfully":
            assert engine.exit_code(name) == 0, engine.logs(name)
        case _:
            assert condition == "service_started"


def down(engine: Engine) -> None:
    """Nothing of it stays."""
    engine.remove(*reversed(in_order(load()["services"])))
    engine.podman("network", "rm", "--force", *load()["networks"], check=False)
    engine.podman("volume", "rm", "--force", *load()["volumes"], check=False)
