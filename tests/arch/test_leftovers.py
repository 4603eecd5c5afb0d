"""The guard that every test runs under sees what it is there to see."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fakes import leftovers

PARENT = (
    "import subprocess, sys\n"
    "words = [sys.executable, '-S', '-c', 'import time; time.sleep(' + sys.argv[1] + ')']\n"
    "print(subprocess.Popen(words, stdout=subprocess.DEVNULL).pid)\n"
)


def orphan(seconds: float) -> int:
    """A process that runs so long and whose parent has ended."""
    words = [sys.executable, "-S", "-c", PARENT, str(seconds)]
    return int(subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True, timeout=20).stdout)


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(leftovers, "GRACE_S", 0.1)


def said(act) -> str:
    """What the guard says of something that does this."""
    with pytest.raises(AssertionError) as error, leftovers.nothing_left("this test"):
        act()
    return str(error.value)


def test_a_process_whose_parent_has_ended_is_seen_and_ended(at_once):
    pids = []
    words = said(lambda: pids.append(orphan(600)))
    assert str(pids[0]) in words
    assert leftovers.has_ended(pids[0])


def test_a_temporary_file_of_a_child_is_seen_and_removed(at_once):
    script = "import tempfile; print(tempfile.mkdtemp(prefix='legation-'))"

    def act():
        subprocess.run([sys.executable, "-c", script], stdout=subprocess.DEVNULL, check=True)

    assert "'legation-" in said(act)
    assert not list(Path(tempfile.gettempdir()).glob("legation-*"))


def test_a_socket_that_listens_is_seen(at_once):
    with socket.socket() as left:

        def act():
            left.bind(("127.0.0.1", 0))
            left.listen()

        assert "sockets that listen" in said(act)


def test_shared_memory_that_a_child_had_is_seen_and_removed(at_once):
    with tempfile.NamedTemporaryFile(prefix="envoy_shared_memory_", suffix="0", dir=leftovers.SHARED) as odd:
        name = f"envoy_shared_memory_{int.from_bytes(odd.name.encode()[-6:], 'big')}"
    script = (
        f"import mmap; f = open({str(leftovers.SHARED / name)!r}, 'w+b'); f.truncate(4096)\n"
        "m = mmap.mmap(f.fileno(), 4096); print('mapped', flush=True); input()\n"
    )

    def act():
        with subprocess.Popen(
            [sys.executable, "-S", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout.readline() == "mapped\n"
            leftovers.MAPPED.note()
            child.communicate("\n")

    assert name in said(act)
    assert not (leftovers.SHARED / name).exists()


def test_what_is_still_ending_is_waited_for():
    with leftovers.nothing_left("this test"):
        assert not leftovers.has_ended(orphan(0.3))
