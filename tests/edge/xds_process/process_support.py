"""Starts the real process, talks to its HTTP sockets, and ends it by its own pid."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from xds import names

TIMEOUT_S = 20.0


def cluster(name: str, timeout: str = "1s", *, eds: bool = False) -> str:
    """A cluster as an item of `resources:`."""
    where = "type: EDS, eds_cluster_config: {eds_config: {ads: {}}}" if eds else "type: STATIC"
    return f'- {{"@type": {names.CLUSTER}, name: {name}, connect_timeout: {timeout}, {where}}}\n'


def endpoints(name: str, port: int) -> str:
    """The endpoints of a cluster."""
    address = f"{{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}"
    return (
        f'- {{"@type": {names.ENDPOINT}, cluster_name: {name},'
        f" endpoints: [{{lb_endpoints: [{{endpoint: {{address: {address}}}}}]}}]}}\n"
    )


def route(name: str, to: str) -> str:
    """A route configuration that sends everything to one cluster."""
    hosts = f"[{{name: all, domains: ['*'], routes: [{{match: {{prefix: /}}, route: {{cluster: {to}}}}}]}}]"
    return f'- {{"@type": {names.ROUTE}, name: {name}, virtual_hosts: {hosts}}}\n'


def listener(name: str, routes: str) -> str:
    """An HTTP listener that takes its routes over ADS."""
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = "envoy.extensions.filters.http.router.v3.Router"
    return f"""\
- "@type": {names.LISTENER}
  name: {name}
  address: {{socket_address: {{address: 127.0.0.1, port_value: 10000}}}}
  filter_chains:
  - name: main
    filters:
    - name: envoy.filters.network.http_connection_manager
      typed_config:
        "@type": {names.PREFIX}{manager}
        stat_prefix: in
        rds: {{route_config_name: {routes}, config_source: {{ads: {{}}, resource_api_version: V3}}}}
        http_filters:
        - {{name: envoy.filters.http.router, typed_config: {{"@type": {names.PREFIX}{router}}}}}
"""


def write(directory: Path, name: str, *items: str, nodes: str = "") -> None:
    """Replace a file in one step, as people should."""
    head = f"nodes: {nodes}\n" if nodes else ""
    body = "resources:\n" + "".join(items) if items else "resources: []\n"
    new = directory / f".{name}.new"
    new.write_text(head + body)
    new.rename(directory / name)


class Process:
    """A running server."""

    def __init__(self, popen: subprocess.Popen[bytes], ready: Any, admin: Path, stderr: _Lines) -> None:
        self.popen = popen
        self.ready = ready
        self.stderr = stderr
        self._admin = admin

    @property
    def address(self) -> str:
        """Of the plaintext listener."""
        return self.ready["plaintext"]

    def status(self) -> dict[str, Any]:
        """/v1/status."""
        transport = httpx.HTTPTransport(verify=False, uds=str(self._admin))
        with httpx.Client(transport=transport, trust_env=False) as client:
            return client.get("http://admin/v1/status", timeout=TIMEOUT_S).raise_for_status().json()

    def get(self, path: str) -> httpx.Response:
        """From the health and metrics listener."""
        return httpx.get(f"http://{self.ready['http']}{path}", timeout=TIMEOUT_S)

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def wait(self) -> int:
        """The exit code."""
        return self.popen.wait(TIMEOUT_S)


class _Lines:
    """What the process writes to stderr, line by line."""

    def __init__(self, stream: Any) -> None:
        self.seen: list[str] = []
        self._arrived = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, args=(stream,))
        self._thread.start()

    def _read(self, stream: Any) -> None:
        with stream:
            for line in stream:
                with self._arrived:
                    self.seen.append(line.decode())
                    self._arrived.notify_all()
        with self._arrived:
            self._ended = True
            self._arrived.notify_all()

    def wait_for(self, text: str, start: int = 0) -> str:
        """The first line, from that number on, that holds the text."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._find(text, start) or self._ended, TIMEOUT_S)
            line = self._find(text, start)
        assert line, f"no line with {text!r} in:\n{''.join(self.seen)}"
        return line

    def join(self) -> str:
        """Everything, once the process has ended."""
        self._thread.join(TIMEOUT_S)
        return "".join(self.seen)

    def _find(self, text: str, start: int) -> str:
        return next((line for line in self.seen[start:] if text in line), "")


@contextmanager
def started(
    resources: Path,
    *arguments: str,
    plaintext: str | None = "127.0.0.1:0",
    wait: bool = True,
    http: str = "127.0.0.1:0",
) -> Iterator[Process]:
    """A server of this directory. `wait=False`: do not wait until it is ready."""
    admin = resources.parent / "a.sock"
    read_fd, write_fd = os.pipe()
    command = [sys.executable, "-P", "-m", "xds", "--resources", str(resources), "--trust-domain", "td.test"]
    command += ["--http", http, "--admin-socket", str(admin), "--ready-fd", str(write_fd), *arguments]
    if plaintext is not None:
        command += ["--plaintext", plaintext]
    popen = subprocess.Popen(command, pass_fds=[write_fd], stderr=subprocess.PIPE)
    os.close(write_fd)
    lines = _Lines(popen.stderr)
    try:
        with os.fdopen(read_fd, "rb") as pipe:
            ready = json.loads(pipe.readline() or b"null") if wait else None
        assert ready is not None or not wait, f"not ready:\n{lines.join()}"
        yield Process(popen, ready, admin, lines)
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.wait(TIMEOUT_S)
        lines.join()


def run_to_end(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A process that is expected to end by itself."""
    command = [sys.executable, "-P", "-m", "xds", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT_S)


@contextmanager
def occupied_port() -> Iterator[str]:
    """An address at which somebody listens already."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        host, port = sock.getsockname()
        yield f"{host}:{port}"
