"""Sets up the demo of compose.yaml, once, beside the running control plane: resources, and the nodes' first files."""  # noqa: INP001

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from legation.demo.workspace import NODES, source_files

CONFIG: Final = "/etc/legation/legation.yaml"
RESOURCES: Final = Path("/etc/legation/resources")
NODES_DIR: Final = Path("/var/lib/legation/nodes")
API: Final = "10.213.77.10"
"""As compose.yaml says: endpoints have addresses, not names. From a block that is in use nowhere."""
ADMIN_PORT: Final = "9901"
"""As the image's health check asks it."""

CHANGES: Final = {
    "web.yaml": (
        ("127.0.0.1, port_value: 10000", "0.0.0.0, port_value: 10000"),
        ("127.0.0.1, port_value: 10100", f"{API}, port_value: 10100"),
    ),
    "api.yaml": (("127.0.0.1, port_value: 10100", "0.0.0.0, port_value: 10100"),),
    "stranger.yaml": (("127.0.0.1, port_value: 10101", "0.0.0.0, port_value: 10101"),),
}
"""What differs from the demo on one machine: who listens for other containers, and where api is."""


def adapt(name: str, text: str) -> str:
    """A file of the demo, for containers. Raises `ValueError` if it no longer holds what is to be changed."""
    for old, new in CHANGES.get(name, ()):
        if text.count(old) != 1:
            raise ValueError(f"{name} holds {old!r} {text.count(old)} times, not once")
        text = text.replace(old, new)
    return text


def write(path: Path, text: str) -> None:
    """Whole or not at all: somebody watches the directory."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def legation(*arguments: str, node: str) -> str:
    """Run the command for a node; what it printed."""
    words = ("legation", *arguments, "--config", CONFIG, "--node", node)
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Everything, and again after a restart: a node that is enrolled stays so."""
    for path in sorted(source_files().iterdir()):
        if path.suffix in {".yaml", ".py"}:
            write(RESOURCES / path.name, adapt(path.name, path.read_text(encoding="utf-8")))
    addresses = ("--xds-address", "control-plane:18100", "--sds-address", "control-plane:18101")
    for node in NODES:
        if not (NODES_DIR / node / "current").exists():
            legation("enroll", node=node)
        bootstrap = legation("bootstrap", "--admin-port", ADMIN_PORT, *addresses, node=node)
        write(NODES_DIR / node / "bootstrap.json", bootstrap)


if __name__ == "__main__":
    main()
