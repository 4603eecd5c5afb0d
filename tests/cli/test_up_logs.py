"""What `legation up` writes: with `log.format: json` programs read it, all of it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

LEGATION = (sys.executable, "-P", "-m", "legation")
WAIT_S = 30
CONFIG = """\
xds: {listen: "127.0.0.1:0"}
sds: {listen: "127.0.0.1:0"}
http: {xds: "127.0.0.1:0", ca: "127.0.0.1:0"}
log: {format: json, level: debug}
"""


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_line_is_json_and_each_process_has_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "legation.yaml").write_text(CONFIG)
    ready, said = os.pipe()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([*LEGATION, "up", "--ready-fd", str(said)], stderr=log, pass_fds=(said,))
    os.close(said)
    try:
        with os.fdopen(ready) as pipe:
            assert pipe.readline(), (tmp_path / "log").read_text()
        enrolled = subprocess.run([*LEGATION, "enroll", "--node", "web"], stderr=subprocess.PIPE, check=True)
        assert {json.loads(line)["process"] for line in enrolled.stderr.splitlines()} == {"enroll"}
        process.send_signal(signal.SIGHUP)
    finally:
        process.terminate()
        assert process.wait(WAIT_S) == 0
    written = lines(tmp_path / "log")
    assert {line["process"] for line in written} == {"legation", "signer", "ca", "xds", "renew"}
    started = {line["program"] for line in written if line["event"] == "process ready"}
    assert started == {"signer", "ca", "xds", "renew"}


def test_a_start_that_fails_is_told_in_json_as_well(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "legation.yaml").write_text(
            CONFIG.replace('sds: {listen: "127.0.0.1:0"}', f'sds: {{listen: "{address}"}}')
        )
        with (tmp_path / "log").open("wb") as log:
            done = subprocess.run([*LEGATION, "up"], stderr=log, timeout=WAIT_S, check=False)
    assert done.returncode == 1
    written = lines(tmp_path / "log")
    assert address in next(line for line in written if line["process"] == "ca" and line["event"] == "failed")["error"]
    assert written[-1]["error"].startswith("ca did not start (exit code 1)")


def test_a_data_directory_that_cannot_be_used_is_told_in_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "legation.yaml").write_text(CONFIG)
    (tmp_path / "legation-data").write_text("")
    done = subprocess.run([*LEGATION, "up"], capture_output=True, timeout=WAIT_S, check=False)
    assert done.returncode == 2
    assert "is not a directory" in json.loads(done.stderr)["error"]
