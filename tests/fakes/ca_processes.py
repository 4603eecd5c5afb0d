"""The real processes of the CA in a temporary directory: started with a ready pipe, ended by their own pid."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from fakes.certs import Pair

BOUND_S = 30.0
TRUST_DOMAIN = "demo.legation"


class Process:
    """One child. `with` ends it."""

    def __init__(self, module: str, *arguments: str, log: Path, before: Sequence[str] = ()) -> None:
        self.log = log
        read_end, write_end = os.pipe()
        command = [*before, sys.executable, "-P", "-m", module, *arguments, "--ready-fd", str(write_end)]
        with log.open("ab") as stderr:
            self.child = subprocess.Popen(
                command, pass_fds=[write_end], stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
            )
        os.close(write_end)
        self._ready = read_end

    def ready(self) -> dict[str, Any]:
        """What it says when it serves; an AssertionError with its log if it ends before."""
        readable, _, _ = select.select([self._ready], [], [], BOUND_S)
        line = os.read(self._ready, 65536) if readable else b""
        assert line, f"not ready: {self.text()}"
        return json.loads(line)

    def text(self) -> str:
        return self.log.read_text()

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.child.poll() is None:
            self.child.send_signal(number)
        return self.child.wait(BOUND_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait(BOUND_S)
        os.close(self._ready)


class Site:
    """Directories and command lines of one control plane."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data, self.run, self.entries, self.nodes = (root / name for name in ("data", "run", "entries", "nodes"))
        for path in (self.data, self.run, self.entries):
            path.mkdir(mode=0o700)
        self.socket = self.run / "signer.sock"
        self.admin = self.run / "ca.admin.sock"

    def signer(self, *more: str) -> Process:
        return Process(
            "ca.signer",
            *("--data-dir", str(self.data), "--socket", str(self.socket), "--trust-domain", TRUST_DOMAIN),
            *more,
            log=self.root / "signer.log",
        )

    def ca(self, *more: str, listen: str = "127.0.0.1:0", before: Sequence[str] = ()) -> Process:
        return Process(
            "ca",
            *("--run-dir", str(self.run), "--entries", str(self.entries)),
            *("--signer-socket", str(self.socket), "--listen", listen, "--http", "127.0.0.1:0"),
            *("--admin-socket", str(self.admin), "--trust-domain", TRUST_DOMAIN),
            *more,
            log=self.root / "ca.log",
            before=before,
        )

    def enroll(self, *more: str) -> Process:
        return Process(
            "ca.enroll",
            *("--out", str(self.nodes), "--signer-socket", str(self.socket), "--trust-domain", TRUST_DOMAIN),
            *more,
            log=self.root / "enroll.log",
        )

    def enrolled(self, name: str) -> tuple[Pair, bytes]:
        """Enrol a node; its certificate and the roots."""
        with self.enroll("--node", name) as process:
            assert process.child.wait(BOUND_S) == 0, process.text()
        return self.pair(name)

    def pair(self, name: str) -> tuple[Pair, bytes]:
        files = {path.name: path.read_bytes() for path in (self.nodes / name / "current").iterdir()}
        return Pair(files["cert.pem"], files["key.pem"], 0), files["ca.pem"]

    def status(self) -> dict[str, Any]:
        return json.loads(get(self.admin, "/v1/status"))


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("admin", timeout=BOUND_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.fspath(self._path))


def get(where: Path | str, path: str) -> bytes:
    """A GET from a Unix socket or a TCP address."""
    connection = _Unix(where) if isinstance(where, Path) else http.client.HTTPConnection(where, timeout=BOUND_S)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().read()
    finally:
        connection.close()
