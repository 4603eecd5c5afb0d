"""`legation demo`, as a user sees it: two real Envoys, requests, an edit, a mistake, a killed Envoy."""

from __future__ import annotations

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
from fakes.leftovers import MAPPED
from fakes.status import status
from fakes.waiting import wait_for

from legation.settings import load

pytestmark = pytest.mark.envoy

LEGATION = (sys.executable, "-P", "-m", "legation")
WAIT_S = 60


class Demo:
    """A running demo, and the places that its introduction names."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self.output = output
        introduction = self.until(lambda: "tail -f" in self.said() and self.said(), "its introduction")
        self.web, self.stranger = re.findall(r"curl -i (\S+)", introduction)
        self.file = Path(re.search(r"\$EDITOR (\S+)", introduction)[1])
        self.settings = load(Path(re.search(r"--config (\S+)", introduction)[1]), Path())

    def said(self) -> str:
        return self.output.read_text()

    def until(self, condition, what: str):
        """A demo that has ended fails the test."""

        def alive_and_true():
            assert self.process.poll() is None, self.said()
            return condition()

        return wait_for(alive_and_true, what, log=self.said)

    def until_status(self, good, what: str) -> dict:
        return self.until(lambda: good(document := status(self.settings)) and document, what)


@contextmanager
def demo(output: Path) -> Iterator[Demo]:
    with output.open("wb") as stdout:
        process = subprocess.Popen([*LEGATION, "demo"], stdout=stdout)
    try:
        yield Demo(process, output)
    finally:
        MAPPED.note()
        process.terminate()
        process.wait(WAIT_S)


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


def test_requests_pass_strangers_do_not_edits_go_live_and_mistakes_do_not(tmp_path):
    with demo(tmp_path / "said") as running:
        assert get(running.web) == (200, "hello", "hello from the app; you came as spiffe://demo.legation/web\n")
        assert get(running.stranger)[0] == 403
        assert running.until_status(live, "everything is live")["ok"] is True

        good = running.file.read_text()
        running.file.write_text(good.replace('"hello"', '"good morning"'))
        running.until(lambda: get(running.web)[:2] == (200, "good morning"), "the edit is live")

        running.file.write_text(good.replace("resources = [", "resources = [1 / 0,"))
        document = running.until_status(lambda document: document["problems"], "the mistake is told")
        assert "web_route.py" in document["problems"][0]
        assert get(running.web)[:2] == (200, "good morning")
        root = running.file.parents[1]

        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WAIT_S) == 0
        last = running.said().splitlines()[-1]
        assert re.fullmatch(r"✓ \d+ requests ok, 0 failed; .*", last)
        assert not root.exists()


def test_an_envoy_that_ends_by_itself_fails_the_demo_and_is_named(tmp_path):
    with demo(tmp_path / "said") as running:
        pid = envoy_of(running.process.pid, "web.json")
        os.kill(pid, signal.SIGKILL)
        assert running.process.wait(WAIT_S) == 1
        assert "envoy web ended by itself (killed by SIGKILL)" in running.said()


def envoy_of(parent: int, argument: str) -> int:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(int(pid) for pid in children if argument in Path(f"/proc/{pid}/cmdline").read_text())


@pytest.mark.slow
def test_kill_9_of_each_process_in_turn_costs_no_request(tmp_path):
    with demo(tmp_path / "said") as running:
        document = running.until_status(live, "everything is live")
        for name in ("signer", "ca", "xds"):
            pid = process(document, name)["pid"]
            os.kill(pid, signal.SIGKILL)
            document = running.until_status(lambda now, name=name, pid=pid: back(now, name, pid), f"{name} is back")
            assert process(document, name)["restarts"] == 1
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(WAIT_S) == 0, running.said()


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
