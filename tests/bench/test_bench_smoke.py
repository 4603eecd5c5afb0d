"""The whole harness at its smallest: real processes, real streams."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from bench.core.gates import failed
from bench.core.process import ChildFailed, RunFailed, leashed, running
from bench.runs.synthetic import Load, Subject, run

ROOT = Path(__file__).parents[2]
SMALL = ("--nodes", "5", "--resources", "10", "--changes", "3", "--warm-up", "1", "--pairs", "1", "--rate", "20")


def bench(*arguments):
    command = [sys.executable, "-m", "bench", "push", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("transport", [(), ("--tls",)])
def test_push_ends_well_and_writes_its_result(tmp_path, transport):
    result_file = tmp_path / "result.json"
    done = bench(*SMALL, *transport, "--json", str(result_file))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(result_file.read_text())
    assert result["verdict"] == "valid"
    assert [one["subject"] for one in result["runs"]] == ["legation", "floor"]
    for one in result["runs"]:
        assert one["per_node"]["count"] == 15
        assert one["last_node"]["count"] == 3
        assert one["per_node"]["hdr"]
        assert len(one["cpu_us"]) == 3
    assert result["summary"]["CPU, legation / floor"]["value"] > 0
    assert {"machine", "versions", "options"} <= result.keys()


@pytest.mark.envoy
def test_push_with_a_real_envoy(tmp_path):
    result_file = tmp_path / "result.json"
    small = ("--envoys", "1", "--resources", "5", "--changes", "2", "--warm-up", "1", "--rate", "20")
    done = bench(*small, "--json", str(result_file))
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(result_file.read_text())["seen"]
    assert [source["last_node"]["count"] for source in seen.values()] == [2, 2]


def test_wrong_bytes_fail_the_run():
    load = Load(nodes=3, resources=5, changes=3, rate=20, warm_up=1, seed=1, node_bytes=500)
    one = trio.run(run, Subject("liar", "tests.bench.liar"), 0, load)
    assert [gate.name for gate in failed(one.gates)] == ["bytes of the sampled nodes are those published"]


def test_a_server_that_cannot_start_is_told_with_its_last_words():
    load = Load(nodes=1, resources=1, changes=1, rate=20, warm_up=0, seed=1)
    with pytest.raises(RunFailed, match=r"No module named tests\.bench\.nothing"):
        trio.run(run, Subject("nothing", "tests.bench.nothing"), 0, load)


def gone(pid):
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_child_is_stopped_whatever_ends_the_block():
    async def main():
        async with running("cat", [sys.executable, "-c", "import sys; sys.stdin.read()"]) as child:
            pids.append(child.pid)
            raise KeyError

    pids = []
    with pytest.raises(KeyError):
        trio.run(main)
    assert gone(pids[0])


def test_a_leashed_program_ends_with_its_leash():
    async def main():
        async with running("sleep", leashed(["sleep", "1000"])) as child:
            pids.append((await child.event("started"))["pid"])
            os.kill(pids[0], 0)

    pids = []
    trio.run(main)
    assert gone(pids[0])


def test_a_child_that_fails_is_told_with_its_last_words():
    async def main():
        async with running("child", [sys.executable, "-c", "raise SystemExit('no such luck')"]) as child:
            await child.event("ready")

    with pytest.raises(ChildFailed, match="no such luck"):
        trio.run(main)
