"""`legation up` with the real processes, on ports that the kernel chooses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.waiting import read_line, wait_for

LEGATION = (sys.executable, "-P", "-m", "legation")
WAIT_S = 30
CONFIG = """\
xds: {listen: "127.0.0.1:0"}
sds: {listen: "127.0.0.1:0"}
http: {xds: "127.0.0.1:0", ca: "127.0.0.1:0"}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "legation.yaml").write_text(CONFIG)
    return tmp_path


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LEGATION, *arguments], capture_output=True, text=True, timeout=WAIT_S, check=False)


@contextmanager
def running(here: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict]]:
    """A control plane that is ready, and what it said about itself."""
    ready, said = os.pipe()
    with (here / "log").open("wb") as log:
        process = subprocess.Popen([*LEGATION, "up", "--ready-fd", str(said)], stderr=log, pass_fds=(said,))
    os.close(said)
    try:
        line = read_line(ready, "it is ready")
        assert line, (here / "log").read_text()
        yield process, json.loads(line)
    finally:
        os.close(ready)
        process.terminate()
        process.wait(WAIT_S)


def test_an_empty_directory_is_enough_and_everything_ends_on_sigterm(here):
    with running(here) as (process, said):
        names = [one["name"] for one in said["processes"]]
        assert names == ["signer", "ca", "xds", "renew"]
        assert all(one["state"] == "ready" for one in said["processes"])

        status = run("status", "-o", "json")
        document = json.loads(status.stdout)
        assert (status.returncode, document["problems"]) == (0, [])
        assert document["supervisor"] == {"running": True, "pid": process.pid}
        assert document["xds"]["process"] == "xds"
        assert document["ca"]["process"] == "ca"
        assert "protects copies of the key store only" in document["notes"][0]
        assert run("status").returncode == 0

        second = run("up")
        assert second.returncode == 1
        assert f"another `legation up` (pid {process.pid}) already runs" in second.stderr

        enrolled = run("enroll", "--node", "web")
        assert enrolled.returncode == 0, enrolled.stderr
        assert f"Next: legation bootstrap --config {here}/legation.yaml --node web" in enrolled.stdout
        assert "--disable-hot-restart" in enrolled.stdout
        node = here / "legation-data" / "nodes" / "web"
        assert {path.name for path in (node / "current").iterdir()} >= {"cert.pem", "key.pem", "ca.pem"}
        assert (node / "current" / "key.pem").stat().st_mode & 0o077 == 0

        process.send_signal(signal.SIGHUP)
        assert run("status").returncode == 0
        process.terminate()
        assert process.wait(WAIT_S) == 0
    assert run("status").returncode == 1
    assert not [path for path in (here / "legation-data" / "run").iterdir() if path.is_socket()]


def test_a_port_in_use_is_an_error_at_once_that_names_it(here):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (here / "legation.yaml").write_text(
            CONFIG.replace('xds: {listen: "127.0.0.1:0"}', f'xds: {{listen: "{address}"}}')
        )
        done = run("up")
    assert done.returncode == 1
    assert address in done.stderr
    assert done.stderr.splitlines()[-1] == (
        f"legation: xds did not start (exit code 1); it cannot listen on {address}: address already in use. "
        "Set `xds.listen` in legation.yaml"
    )


def test_lifetimes_that_do_not_fit_are_a_configuration_error_with_the_cure(here):
    (here / "legation.yaml").write_text(CONFIG + "ca: {leaf_ttl: 2d}\n")
    done = run("up")
    assert done.returncode == 2
    assert "nearest valid set" in done.stderr
    assert done.stderr.startswith("legation: "), "nothing was started"
    assert not list(here.glob("legation-data/keystore/*"))


def test_a_bad_resource_file_keeps_it_waiting_and_status_says_why(here):
    (here / "resources").mkdir()
    (here / "resources" / "bad.yaml").write_text("resources:\n- nonsense: true\n")
    with (here / "log").open("wb") as log:
        process = subprocess.Popen([*LEGATION, "up"], stderr=log)

    def status() -> subprocess.CompletedProcess[str]:
        assert process.poll() is None, (here / "log").read_text()
        return run("status")

    try:
        said = wait_for(lambda: "bad.yaml" in (now := status()).stdout and now, "status says why")
        assert said.returncode == 1
        (here / "resources" / "bad.yaml").unlink()
        wait_for(lambda: status().returncode == 0, "it is ready")
    finally:
        process.terminate()
        code = process.wait(WAIT_S)
    assert code == 0
