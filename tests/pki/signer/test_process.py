"""The real process: start, refusal, kill, restart; its exit codes, its limits, and what it does not load."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest
from fakes.ca_authority import csr
from fakes.unprivileged import UNPRIVILEGED, may_read
from fakes.waiting import read_line, wait_for

from xds.engine.wire import message

BOUND_S = 20
SIGNER = (sys.executable, "-m", "ca.signer")
SHOW_MAPS = (
    "import pathlib, runpy, signal, sys\n"
    "def show(*_):\n"
    "    new = pathlib.Path('maps.new'); new.write_bytes(pathlib.Path('/proc/self/maps').read_bytes())\n"
    "    new.rename('maps')\n"
    "signal.signal(signal.SIGUSR1, show)\n"
    "runpy.run_module('ca.signer', run_name='__main__', alter_sys=True)\n"
)
"""The signer as it is, but on SIGUSR1 it says what it has loaded: nobody but root could look."""


@contextmanager
def process(directory, *arguments, trust_domain="example.org", command=SIGNER):
    """A signer that is ready, or has ended; killed at the end in any case."""
    reader, writer = os.pipe()
    words = [
        *command, "--data-dir", str(directory / "data"), "--socket", str(directory / "run/s"),
        "--trust-domain", trust_domain, "--ready-fd", str(writer), *arguments,
    ]  # fmt: skip
    child = subprocess.Popen(words, pass_fds=[writer], stderr=subprocess.PIPE, text=True, cwd=directory)
    os.close(writer)
    try:
        child.ready = read_line(reader, "ready, or ended")
        yield child
    finally:
        os.close(reader)
        child.kill()
        child.wait()
        child.stderr.close()


def ask(directory, request):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(BOUND_S)
        connection.connect(str(directory / "run/s"))
        data = request.SerializeToString()
        connection.sendall(struct.pack(">I", len(data)) + data)
        with connection.makefile("rb") as file:
            (length,) = struct.unpack(">I", file.read(4))
            response = message("legation.signer.v1.Response")()
            response.ParseFromString(file.read(length))
    return response


def request(**verb):
    return message("legation.signer.v1.Request")(request_id=os.urandom(8).hex(), **verb)


def state(directory):
    return ask(directory, request(state={})).state


def leaf(directory):
    return ask(
        directory, request(sign_leaf={"csr_der": csr(), "spiffe_id": "spiffe://example.org/web", "node": "web"})
    ).signed


def ended(child):
    """Exit code and what it said."""
    _, words = child.communicate(timeout=BOUND_S)
    return child.returncode, words


def stop(child, number=signal.SIGTERM):
    child.send_signal(number)
    return ended(child)


def test_start_serve_stop(tmp_path):
    with process(tmp_path, "--log-format", "json") as child:
        ready = json.loads(child.ready)
        assert ready == {"ready": True, "listen": str(tmp_path / "run/s"), "pid": child.pid}
        assert len(leaf(tmp_path).chain_der) == 2
        told = state(tmp_path)
        assert (told.issued, told.bundle.trust_domain) == (1, "example.org")
        assert "protects copies of the store only" in told.kek_source
        code, words = stop(child)
        assert code == 0
        assert [json.loads(line)["process"] for line in words.splitlines()]
        assert not (tmp_path / "run/s").exists()
    with process(tmp_path) as child:
        assert state(tmp_path).bundle == told.bundle
        assert stop(child, signal.SIGINT)[0] == 0


def test_148_limits_of_the_process_and_no_grpc_in_it(tmp_path):
    with process(tmp_path, command=(sys.executable, "-c", SHOW_MAPS)) as child:
        leaf(tmp_path)
        with open(f"/proc/{child.pid}/limits") as file:  # noqa: PTH123
            core = next(line for line in file if line.startswith("Max core file size"))
        assert core.split()[4:6] == ["0", "0"]
        child.send_signal(signal.SIGUSR1)
        libraries = wait_for((tmp_path / "maps").read_text, "what it has loaded")
        assert "grpc" not in libraries
        assert "cryptography" in libraries, "the positive control"
        with open(f"/proc/{child.pid}/status") as file:  # noqa: PTH123
            status = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
        assert status["Threads"] == "1"
        assert status["Umask"].strip() == "0077"


def test_148_not_dumpable(tmp_path):
    script = (
        "import ctypes, resource; from xds.hardening import harden; harden();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=BOUND_S)
    assert done.stdout == "0 (0, 0)\n"


def test_148_its_user_cannot_look_into_it(tmp_path):
    other = [*UNPRIVILEGED, sys.executable, "-S", "-c", "input()"]
    with (
        process(tmp_path, command=(*UNPRIVILEGED, *SIGNER)) as child,
        subprocess.Popen(other, stdin=subprocess.PIPE) as control,
    ):
        assert child.ready
        assert not may_read(f"/proc/{child.pid}/environ")
        wait_for(lambda: may_read(f"/proc/{control.pid}/environ"), "the positive control", bound_s=BOUND_S)
        control.communicate(b"\n", timeout=BOUND_S)


def test_127_kill_9_again_and_again_under_load_keeps_root_and_journal(tmp_path):
    bundle, serials = None, set()
    for wanted in (3, 9, 16, 20):
        with process(tmp_path) as child:
            told = state(tmp_path)
            bundle = bundle or told.bundle
            assert told.bundle == bundle

            def load():
                while True:
                    try:
                        serials.add(leaf(tmp_path).serial_hex)
                    except (OSError, struct.error):
                        return

            workers = [threading.Thread(target=load) for _ in range(2)]
            for worker in workers:
                worker.start()
            try:
                wait_for(lambda: len(serials) >= wanted, "certificates")  # noqa: B023 (it is called here)
            finally:
                child.kill()
                for worker in workers:
                    worker.join(BOUND_S)
            assert not any(worker.is_alive() for worker in workers)
    rows = [
        json.loads(line)
        for path in sorted((tmp_path / "data/journal").iterdir())
        for line in path.read_text().splitlines()
    ]
    intents = {row["serial"] for row in rows if row["event"] == "intent"}
    issued = {row["serial"] for row in rows if row["event"] == "issued"}
    assert serials <= issued <= intents, "what was answered was journalled before"
    assert len(intents - issued) <= 4 * 2, "at most the batch of two callers that each kill interrupted"


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (lambda data: (data / "keystore/state.json").write_bytes(b"{"), 1, "damaged"),
        (lambda data: (data / "keystore").chmod(0o750), 2, "chmod 0700"),
        (lambda data: (data / "kek").chmod(0o640), 2, "chmod 0600"),
        (lambda data: (data / "kek").write_text("ab" * 32), 2, "another key-encryption key"),
        (lambda data: (data / "kek").unlink(), 2, "missing"),
        (lambda data: (data / "keystore").rename(data / "elsewhere"), 1, "no new root was made"),
    ],
    ids=["corrupted", "loose store", "loose kek", "wrong kek", "no kek", "no store"],
)
def test_a_spoilt_data_directory_is_refused_with_an_exit_code_and_a_cure(tmp_path, spoil, code, words):
    with process(tmp_path) as child:
        assert child.ready
        assert stop(child)[0] == 0
    spoil(tmp_path / "data")
    with process(tmp_path) as child:
        assert child.ready == ""
        got, said = ended(child)
    assert (got, words in said, "Traceback" in said) == (code, True, False), said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--leaf-ttl-s", "172800"], "The nearest valid set"),
        (["--backdate-s", "5"], "backdate 10s to 300s"),
        (["--kek", "/nonexistent"], "openssl rand -hex 32"),
        (["--log-level", "loud"], "invalid choice"),
    ],
)
def test_arguments_that_are_wrong_exit_with_2(tmp_path, arguments, words):
    with process(tmp_path, *arguments) as child:
        code, said = ended(child)
    assert code == 2
    assert words in said
    assert not (tmp_path / "data/keystore").exists()


def test_a_wrong_trust_domain_exits_with_2(tmp_path):
    with process(tmp_path, trust_domain="Example.Org") as child:
        code, said = ended(child)
    assert code == 2
    assert "--trust-domain" in said


def test_two_signers_never_work_in_one_directory(tmp_path):
    with process(tmp_path) as first:
        assert first.ready
        with process(tmp_path) as second:
            code, said = ended(second)
        assert code == 1
        assert "another signer" in said
        assert state(tmp_path).bundle.roots_der


def test_a_stale_socket_of_a_killed_signer_is_no_obstacle(tmp_path):
    with process(tmp_path) as child:
        child.kill()
        child.wait()
    assert (tmp_path / "run/s").exists()
    with process(tmp_path) as child:
        assert child.ready
        assert state(tmp_path).bundle.roots_der


def test_sighup_changes_nothing(tmp_path):
    with process(tmp_path) as child:
        child.send_signal(signal.SIGHUP)
        assert leaf(tmp_path).serial_hex
        assert stop(child)[0] == 0
