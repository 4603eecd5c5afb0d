"""The demo's directory: its files copied from `envoy-configs/demo`, with free ports in the place of the fixed ones."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from legation.settings import Settings, load
from xds.errors import LocalError

TRUST_DOMAIN: Final = "demo.legation"
NODES: Final = ("web", "api")
CERTIFICATE_TTL_S: Final = 20
"""As envoy-configs/demo/entries says."""

FIXED: Final = {"web_http": 10000, "web_mtls": 10001, "api_mtls": 10100, "stranger_http": 10101, "app": 10200}
"""The port numbers that the files are written with."""
OWN: Final = ("xds", "sds", "http_xds", "http_ca", "web_admin", "api_admin")
FIRST_PORT: Final = 20_000
LAST_PORT: Final = 32_000
"""Below Linux's range for outgoing connections: nobody takes a port while its process is being restarted."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where the demo runs."""

    root: Path
    ports: dict[str, int]
    settings: Settings

    @property
    def log(self) -> Path:
        """What the processes of the control plane and the Envoys write."""
        return self.root / "demo.log"


def make_workspace(root: Path, seed: int) -> Workspace:
    """Fill the directory. `seed` decides where the search for free ports begins."""
    names = (*FIXED, *OWN)
    ports = dict(zip(names, free_ports(len(names), seed), strict=True))
    copy_files(root, {number: ports[name] for name, number in FIXED.items()})
    config = root / "legation.yaml"
    config.write_text(settings_text(ports), encoding="utf-8")
    return Workspace(root, ports, load(config, root))


def settings_text(ports: dict[str, int]) -> str:
    """The demo's `legation.yaml`."""
    return f"""\
trust_domain: {TRUST_DOMAIN}
data_dir: data
resources: resources
entries: entries
xds: {{listen: "127.0.0.1:{ports["xds"]}"}}
sds: {{listen: "127.0.0.1:{ports["sds"]}"}}
http: {{xds: "127.0.0.1:{ports["http_xds"]}", ca: "127.0.0.1:{ports["http_ca"]}"}}
"""


def source_files(kind: str = "resources") -> Path:
    """The demo's `resources` or `entries`: in an installed package below `legation`, in a source tree beside `src`."""
    package = Path(str(resources.files("legation")))
    for path in (package / "envoy_configs", package.parents[1] / "envoy-configs"):
        if (path / "demo" / kind).is_dir():
            return path / "demo" / kind
    raise LocalError(f"the demo's files are missing: neither in {package} nor in a source tree around it")


def copy_files(root: Path, numbers: dict[int, int]) -> None:
    """Copy resources and entries, with other port numbers."""
    for kind in ("resources", "entries"):
        target = root / kind
        target.mkdir()
        for path in sorted(source_files(kind).iterdir()):
            if path.suffix in {".yaml", ".py"}:
                text = substitute(path.read_text(encoding="utf-8"), numbers)
                (target / path.name).write_text(text, encoding="utf-8")


def substitute(text: str, numbers: dict[int, int]) -> str:
    """Replace whole numbers, all in one pass."""
    pattern = re.compile(r"\b(" + "|".join(str(number) for number in numbers) + r")\b")
    return pattern.sub(lambda match: str(numbers[int(match.group())]), text)


def free_ports(count: int, seed: int) -> list[int]:
    """Ports that can be listened on now. Each stays bound until all are found, so they differ."""
    held: list[socket.socket] = []
    try:
        for port in _candidates(seed):
            holder = socket.socket()
            held.append(holder)
            try:
                holder.bind(("127.0.0.1", port))
            except OSError:
                holder.close()
                held.pop()
            if len(held) == count:
                return [holder.getsockname()[1] for holder in held]
        raise LocalError(f"no {count} free ports between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1")
    finally:
        _close(held)


def _candidates(seed: int) -> Iterator[int]:
    span = LAST_PORT - FIRST_PORT
    return (FIRST_PORT + (seed * 37 + step) % span for step in range(span))


def _close(sockets: Iterable[socket.socket]) -> None:
    for holder in sockets:
        holder.close()
