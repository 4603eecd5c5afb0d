"""`legation demo`, as a user sees it: two real Envoys, requests, an edit, a mistake, a killed Envoy."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.envoy

LEGATION = (sys.executable, "-P", "-m", "legation")
WAIT_S = 60


class Demo:
    """A running demo, and the places that its introduction names."""

    def __init__(self, process: subprocess.Popen[str], introduction: str) -> None:
        self.process = process
        self.web, self.stranger = re.findall(r"curl -i (\S+)", introduction)
        self.file = Path(re.search(r"\$EDITOR (\S+)", introduction)[1])
        self.config = re.search(r"--config (\S+)", introduction)[1]

    def status(self) -> tuple[int, dict]:
        command = [*LEGATION, "status", "-o", "json", "--config", self.config]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=WAIT_S)
        return done.returncode, json.loads(done.stdout)

    def until_status(self, good) -> dict:
        """Each call takes a moment; a demo that has ended fails the test."""
        while True:
            assert self.process.poll() is None
            _, document = self.status()
            if good(document):
                return document


@contextmanager
def demo(*options: str) -> Iterator[Demo]:
    with subprocess.Popen([*LEGATION, "demo", *options], stdout=subprocess.PIPE, text=True) as process:
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                if "tail -f" in line:
                    break
            assert process.poll() is None, "".join(lines)
            yield Demo(process, "".join(lines))
        finally:
            process.terminate()
            process.stdout.read()


def get(url: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 (our own URL)
            return answer.status, answer.headers.get("x-greeting", ""), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", error.read().decode()


def live(document: dict) -> bool:
    """Both Envoys acknowledged the newest of everything, and their certificates."""
    nodes = document["xds"].get("nodes", [])
    types = [kind for node in nodes for kind in node["types"]]
    certificates = document["ca"].get("certificates", [])
    return (
        {node["node"] for node in nodes} == {"web", "api"}
        and {kind["type"] for kind in types} == {"CDS", "EDS", "LDS", "RDS"}
        and all(kind["acked"] == kind["current"] for kind in types)
        and len(certificates) == 2
        and all(certificate["acked"] for certificate in certificates)
    )


def test_requests_pass_strangers_do_not_edits_go_live_and_mistakes_do_not():
    with demo() as running:
        assert get(running.web) == (200, "hello", "hello from the app; you came as spiffe://demo.legation/web\n")
        assert get(running.stranger)[0] == 403
        assert running.until_status(live)["ok"] is True

        good = running.file.read_text()
        running.file.write_text(good.replace('"hello"', '"good morning"'))
        while get(running.web)[:2] != (200, "good morning"):
            assert running.process.poll() is None

        running.file.write_text(good.replace("resources = [", "resources = [1 / 0,"))
        document = running.until_status(lambda document: document["problems"])
        assert "web_route.py" in document["problems"][0]
        assert get(running.web)[:2] == (200, "good morning")
        root = running.file.parents[1]

        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WAIT_S) == 0
        last = running.process.stdout.read().splitlines()[-1]
        assert re.fullmatch(r"✓ \d+ requests ok, 0 failed; .*", last)
        assert not root.exists()


def test_an_envoy_that_ends_by_itself_fails_the_demo_and_is_named():
    with demo() as running:
        pid = envoy_of(running.process.pid, "web.json")
        os.kill(pid, signal.SIGKILL)
        assert running.process.wait(WAIT_S) == 1
        assert "envoy web ended by itself (killed by SIGKILL)" in running.process.stdout.read()


def envoy_of(parent: int, argument: str) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(int(pid) for pid in children if argument in Path(f"/proc/{pid}/cmdline").read_text())


@pytest.mark.slow
def test_kill_9_of_each_process_in_turn_costs_no_request():
    with demo() as running:
        document = running.until_status(live)
        for name in ("signer", "ca", "xds"):
            pid = process(document, name)["pid"]
            os.kill(pid, signal.SIGKILL)
            document = running.until_status(lambda now, name=name, pid=pid: back(now, name, pid))
            assert process(document, name)["restarts"] == 1
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WAIT_S) == 0, running.process.stdout.read()


def back(document: dict, name: str, killed: int) -> bool:
    """It runs again, and everything is acknowledged again."""
    return process(document, name)["pid"] not in {killed, None} and document["ok"] and live(document)


def process(document: dict, name: str) -> dict:
    return next(one for one in document["processes"] if one["name"] == name)


@pytest.mark.slow
def test_unattended_it_proves_rotations_without_a_failed_request():
    done = subprocess.run(
        [*LEGATION, "demo", "--seconds", "45"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert re.search(
        r"✓ \d+ requests ok, 0 failed; \d+ of a stranger refused; rotations seen .* web [2-9], api [2-9]", done.stdout
    )
