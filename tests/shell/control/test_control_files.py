"""The blocking ends: listing, reading, children, TLS files."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest
import trio
from control_support import Watch, run
from fakes.certs import Authority

from xds.config.problems import FileError
from xds.control import child, reading, tls
from xds.control.parsing import parse


def test_hidden_names_other_suffixes_and_caches_are_left_out(tmp_path):
    for name in ("a.yaml", ".b.yaml", "c.txt", "_m.py"):
        (tmp_path / name).write_text("")
    for name in (".git", "__pycache__"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").write_text("")
    listing = reading.list_directory(tmp_path)
    assert sorted(listing.files) == ["_m.py", "a.yaml"]
    assert listing.problems == ()


def test_a_mount_of_kubernetes_reads_each_file_once(tmp_path):
    (tmp_path / "..2026_11").mkdir()
    (tmp_path / "..2026_11" / "a.yaml").write_text("")
    (tmp_path / "..data").symlink_to("..2026_11")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert sorted(reading.list_directory(tmp_path).files) == ["a.yaml"]


def test_a_directory_that_leads_back_to_itself_is_said(tmp_path):
    (tmp_path / "loop").symlink_to(".")
    (problem,) = reading.list_directory(tmp_path).problems
    assert problem.file == "loop"


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.yaml")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "b.yaml"))
        listing = reading.list_directory(tmp_path)
    assert [problem.message for problem in listing.problems] == ["is not a regular file"] * 2
    assert listing.files == {}


def test_a_missing_directory_is_a_problem(tmp_path):
    (problem,) = reading.list_directory(tmp_path / "gone").problems
    assert "gone" in problem.file
    assert "No such file" in problem.message


def test_text_that_is_no_utf8_is_told_with_its_line():
    (problem,) = parse("a.yaml", b"resources:\n- \xff\n")
    assert (problem.file, problem.line) == ("a.yaml", 2)


def test_a_file_that_went_away_is_named(tmp_path):
    with pytest.raises(FileError, match=r"a\.yaml: cannot be read: No such file"):
        reading.read_bytes(tmp_path / "a.yaml", "a.yaml")


def test_a_child_s_output_comes_whole():
    ended = trio.run(
        child.run, [sys.executable, "-c", "import sys; print('x' * 200000); sys.stderr.write('why')"], "a.py"
    )
    assert len(ended.stdout) == 200001
    assert ended.stderr == "why"
    assert child.output_of(ended, "a.py") == ended.stdout


def test_a_child_that_does_not_end_is_stopped_with_all_that_it_started(tmp_path):
    pids = tmp_path / "pids"
    script = (
        "import os, subprocess, sys, time\n"
        "grand = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(pids)!r}, 'w').write(str(grand.pid))\n"
        "time.sleep(600)\n"
    )

    async def main() -> None:
        with trio.fail_after(20), trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child.run, [sys.executable, "-c", script], "a.py")
                while not (pids.exists() and pids.read_text()):  # noqa: ASYNC110 (another process tells)
                    await trio.sleep(0.01)
                scope.cancel()
        with trio.fail_after(10):
            while runs(pids.read_text()):  # noqa: ASYNC110 (the kernel tells nobody else)
                await trio.sleep(0.01)

    trio.run(main)


def runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_child_that_takes_too_long_is_an_error_of_its_file():
    with pytest.raises(FileError, match=r"a\.py: had not ended after 0\.05 s and was stopped"):
        trio.run(child.run, [sys.executable, "-c", "import time; time.sleep(600)"], "a.py", 0.05)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was stopped by signal 11"),
        ("raise SystemExit('a reason')", "ended with code 1: 'a reason'"),
    ],
)
def test_a_child_that_fails_is_an_error_of_its_file(script, said):
    ended = trio.run(child.run, [sys.executable, "-c", script], "a.py")
    with pytest.raises(FileError, match=said):
        child.output_of(ended, "a.py")


def put(parent, made, cert_pem, key_pem, ca_pem):
    directory = parent / made
    directory.mkdir()
    for name, data in (("cert.pem", cert_pem), ("key.pem", key_pem), ("ca.pem", ca_pem)):
        (directory / name).write_bytes(data)
    (parent / "next").symlink_to(made)
    (parent / "next").rename(parent / "current")


def test_tls_files_are_waited_for_taken_and_followed(tmp_path):
    authority = Authority()
    waits: list[str] = []

    async def main() -> None:
        watch = Watch()
        files = tls.TlsFiles(tmp_path, watch=watch)
        async with trio.open_nursery() as nursery:
            started = []

            async def start() -> None:
                started.append(await nursery.start(files.run, waits.append))

            nursery.start_soon(start)
            await trio.testing.wait_all_tasks_blocked()
            assert "waiting for the TLS files" in waits[-1]
            pair, other = authority.server(), authority.server()
            put(tmp_path, "mixed", pair.cert_pem, other.key_pem, authority.ca_pem)
            watch.changed()
            await trio.testing.wait_all_tasks_blocked()
            assert started == []
            assert "cannot be used together" in waits[-1]
            put(tmp_path, "good", pair.cert_pem, pair.key_pem, authority.ca_pem)
            watch.changed()
            await trio.testing.wait_all_tasks_blocked()
            assert started == [files.credentials]
            assert (files.error, files.rotations) == (None, 0)
            put(tmp_path, "bad", other.cert_pem, pair.key_pem, authority.ca_pem)
            watch.changed()
            await trio.testing.wait_all_tasks_blocked()
            assert "cannot be used together" in files.error
            put(tmp_path, "new", other.cert_pem, other.key_pem, authority.ca_pem)
            watch.changed()
            await trio.testing.wait_all_tasks_blocked()
            assert (files.error, files.rotations) == (None, 1)
            watch.changed()
            await trio.testing.wait_all_tasks_blocked()
            assert files.rotations == 1
            nursery.cancel_scope.cancel()

    run(main)


def test_tls_material_does_not_show_itself():
    shown = repr(tls.Material("made", b"cert", b"secret", b"ca"))
    assert "secret" not in shown
    assert "made" in shown
