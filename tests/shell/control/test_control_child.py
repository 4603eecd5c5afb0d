"""What people's Python gets from us, what it can reach, and that nothing of it stays."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trio

from xds.config.problems import FileError
from xds.config.python_files import decode
from xds.control import child, reading
from xds.resources import confine

KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5T56OPHKFxOThMgx"
BOUND_S = 30


def landlocked() -> bool:
    return confine._libc().syscall(confine._CREATE_RULESET, None, 0, confine._VERSION) >= 1


needs_landlock = pytest.mark.skipif(not landlocked(), reason="this kernel has no Landlock")


def evaluated(directory: Path, text: str, timeout_s: float = BOUND_S) -> bytes:
    directory.mkdir(exist_ok=True)
    file = directory / "a.py"
    file.write_text(text)
    ended = trio.run(child.run, child.command(file), "a.py", timeout_s)
    return child.output_of(ended, "a.py")


def said(directory: Path, text: str, timeout_s: float = BOUND_S) -> str:
    """What became of a file that is to fail."""
    with pytest.raises(FileError) as caught:
        decode("a.py", evaluated(directory, text, timeout_s))
    return str(caught.value)


def alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_of_our_environment_it_gets_what_python_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOUD_TOKEN", "canary")
    message = said(tmp_path, "import os\nraise ValueError(' '.join(sorted(os.environ)))")
    names = set(message.partition("ValueError: ")[2].split())
    assert names <= {*child.ENVIRONMENT, "LC_CTYPE"}
    assert "PATH" in names


def test_it_runs_in_the_directory_of_its_file(tmp_path):
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "data.txt").write_text("near")
    assert said(tmp_path / "resources", "raise ValueError(open('data.txt').read())") == "a.py:1: ValueError: near"


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("open(DATA + '/key.pem').read()", "PermissionError: [Errno 13] Permission denied: "),
        ("os.listdir(DATA)", "PermissionError: [Errno 13] Permission denied: "),
        ("open('/etc/passwd').read()", "PermissionError: [Errno 13] Permission denied: "),
        ("open(f'/proc/{os.getppid()}/environ').read()", "PermissionError: [Errno 13] Permission denied: "),
        ("open('written', 'w')", "PermissionError: [Errno 13] Permission denied: "),
        ("os.unlink(__file__)", "PermissionError: [Errno 13] Permission denied: "),
        ("os.symlink(DATA, 'data')", "PermissionError: [Errno 13] Permission denied: "),
        ("os.mkdir('/tmp/x')", "PermissionError: [Errno 13] Permission denied: "),
        ("os.kill(os.getppid(), 0)", "PermissionError: [Errno 1] Operation not permitted"),
        ("os.kill(XDS, 0)", "PermissionError: [Errno 1] Operation not permitted"),
        ("open('/dev/null', 'w').write('x')", "ValueError: ended with 1"),
        ("__import__('json').loads('7')", "ValueError: ended with 7"),
        ("__import__('yaml').safe_load('8')", "ValueError: ended with 8"),
        ("__import__('socket').socket(2).family", "ValueError: ended with 2"),
    ],
)
@needs_landlock
def test_it_reaches_its_directory_and_python_and_nothing_else(tmp_path, action, result):
    data = tmp_path / "data"
    data.mkdir()
    (data / "key.pem").write_text("canary")
    text = f"import os\nDATA, XDS = {str(data)!r}, {os.getpid()}\nraise ValueError(f'ended with {{{action}}}')\n"
    text = text.replace(f"f'ended with {{{action}}}'", f"'ended with ' + str({action})")
    message = said(tmp_path / "resources", text)
    assert result in message
    assert "canary" not in message


@pytest.mark.skipif(os.uname().machine not in confine._MACHINES, reason="its system calls are not in the table")
def test_it_cannot_call_the_sockets_that_admit_by_uid(tmp_path):
    text = "import socket\nsocket.socketpair()\nsocket.socket(socket.AF_UNIX)"
    assert said(tmp_path, text) == "a.py:3: PermissionError: [Errno 13] Permission denied"


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("x = bytearray(3 * 1024**3)", "MemoryError"),
        ("import resource\nraise ValueError(resource.getrlimit(resource.RLIMIT_CORE))", "ValueError: (0, 0)"),
        ("import resource\nraise ValueError(resource.getrlimit(resource.RLIMIT_FSIZE))", "ValueError: (0, 0)"),
        ("import resource\nraise ValueError(resource.getrlimit(resource.RLIMIT_CPU))", "ValueError: (20, 21)"),
        ("raise ValueError(open('/proc/self/status').read())", "PermissionError"),
        ("import signal, os\nos.kill(os.getpid(), signal.SIGXCPU)", "used up its time"),
        ("import signal, os\nos.kill(os.getpid(), signal.SIGSEGV)", "was stopped by signal 11"),
        ("import os\nos._exit(3)", "ended with code 3"),
        (f"import os\nos.write(2, b'{KEY}')\nos._exit(3)", "ended with code 3: (withheld: it may be a key)"),
        ("import os\nos.write(2, b'\\x1b[31m why')\nos._exit(3)", "ended with code 3: '\\x1b[31m why'"),
    ],
)
@needs_landlock
def test_its_limits_and_its_end(tmp_path, text, result):
    message = said(tmp_path, text)
    assert result in message
    assert KEY not in message


DAEMON = """
import os, sys, time
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(write, str(os.getpid()).encode())
        {closing}
        time.sleep(600)
    os._exit(0)
os.set_inheritable(read, True)
pid = os.read(read, 100).decode()
{ending}
"""


@pytest.mark.parametrize("closing", ["pass", "os.closerange(0, 100)"])
def test_a_daemon_of_its_does_not_outlive_it(tmp_path, closing):
    message = said(tmp_path, DAEMON.format(closing=closing, ending="raise ValueError(pid)"))
    pid = message.rpartition(" ")[2]
    assert pid.isdecimal()
    assert not alive(pid)


def test_nor_does_a_daemon_outlive_the_time_limit(tmp_path):
    """The kernel tells of the daemon: it is the only process that has this directory open."""
    ending = "os.write(2, b'started')\ntime.sleep(600)"
    message = said(tmp_path, DAEMON.format(closing="os.chdir(sys.prefix + '/bin')", ending=ending), 1)
    assert "had not ended after 1 s" in message
    assert [pid for pid in processes() if cwd(pid) == str(Path(sys.prefix) / "bin")] == []


def processes() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]


def cwd(pid: str) -> str:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return ""


def test_who_holds_the_pipes_after_the_end_does_not_hold_us():
    script = "import os, time\nif os.fork() == 0:\n  os.setsid()\n  time.sleep(600)\nprint('before', os.getpid())"
    script = script.replace("time.sleep(600)", "print(os.getpid(), flush=True)\n  time.sleep(600)")
    script = script.replace("print('before', os.getpid())", "print('mine', flush=True)\ntime.sleep(0.2)")

    async def main() -> child.Ended:
        with trio.fail_after(BOUND_S):
            return await child.run([sys.executable, "-c", script], "a.py", BOUND_S)

    ended = trio.run(main)
    assert b"mine" in ended.stdout
    (pid,) = (int(line) for line in ended.stdout.split() if line.isdigit())
    os.kill(pid, 9)


def test_a_child_that_cannot_be_started_is_an_error_of_its_file():
    with pytest.raises(FileError, match=r"a\.py: cannot be evaluated: no process could be started \(No such file"):
        trio.run(child.run, ["/nothing/of/the/kind"], "a.py")


def test_where_there_is_no_landlock_it_is_told_at_debug(caplog):
    caplog.set_level("DEBUG")
    script = "import sys; from xds.resources.evaluate import UNCONFINED; sys.stderr.write(UNCONFINED)"
    trio.run(child.run, [sys.executable, "-c", script], "a.py")
    assert ["no Landlock" in record.getMessage() for record in caplog.records] == [True]


@pytest.fixture
def python(tmp_path, monkeypatch):
    """A directory that others could get at, with a resource file, a module, and one without Python."""
    monkeypatch.setattr(reading, "_private", lambda path: False)
    tmp_path.chmod(0o755)
    directory = tmp_path / "resources"
    directory.mkdir()
    for name in ("a.py", "_m.py", "c.yaml"):
        (directory / name).write_text("resources = []")
    return directory


def test_python_of_ours_is_run(python):
    listing = reading.list_directory(python)
    assert (sorted(listing.files), listing.problems) == (["_m.py", "a.py", "c.yaml"], ())


@pytest.mark.parametrize(
    ("which", "mode"), [("a.py", 0o664), ("a.py", 0o646), ("_m.py", 0o666), ("", 0o775), ("", 0o1777)]
)
def test_python_that_others_can_write_is_not_run(python, which, mode):
    path = python / which if which else python
    path.chmod(mode)
    listing = reading.list_directory(python)
    assert sorted(listing.files) == ["c.yaml"]
    assert len(listing.problems) == (1 if which else 2)
    assert all(f"{path} can be written by others: chmod go-w {path}" in str(p) for p in listing.problems)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("which", ["a.py", "_m.py", ""])
def test_python_of_others_is_not_run(python, which):
    path = python / which if which else python
    os.chown(path, 12345, -1)
    listing = reading.list_directory(python)
    assert sorted(listing.files) == ["c.yaml"]
    assert all(
        f"{path} belongs to user 12345, neither to root nor to us: chown 0 {path}" in str(p) for p in listing.problems
    )


def test_python_is_judged_by_what_its_link_leads_to(python, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.py").write_text("resources = []")
    (python / "b.py").symlink_to(elsewhere / "b.py")
    assert reading.list_directory(python).problems == ()
    elsewhere.chmod(0o777)
    (problem,) = reading.list_directory(python).problems
    assert problem.file == "b.py"


def test_what_nobody_else_gets_to_may_have_any_mode(python, tmp_path, monkeypatch):
    monkeypatch.undo()
    (python / "a.py").chmod(0o666)
    tmp_path.chmod(0o700)
    assert reading.list_directory(python).problems == ()


def test_other_resources_may_be_anybody_s(python):
    (python / "c.yaml").chmod(0o666)
    assert reading.list_directory(python).problems == ()
