"""Certificate files are one set: the old one or the new one, never a mixture (identity 112, facts 12)."""

from __future__ import annotations

import stat
import threading

import pytest

from ca.errors import LocalError
from ca.svid import directory


def contents(parent) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((parent / "current").iterdir())}


def test_each_set_is_a_new_directory_behind_one_symlink(tmp_path):
    directory.publish(tmp_path, {"cert.pem": b"1", "key.pem": b"1"})
    first = (tmp_path / "current").readlink()
    directory.publish(tmp_path, {"cert.pem": b"2", "key.pem": b"2"})
    assert (tmp_path / "current").readlink() != first
    assert contents(tmp_path) == {"cert.pem": b"2", "key.pem": b"2"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", str((tmp_path / "current").readlink())]


def test_nobody_else_may_read(tmp_path):
    directory.publish(tmp_path, {"key.pem": b"1"})
    assert stat.S_IMODE((tmp_path / "current").resolve().stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "current" / "key.pem").stat().st_mode) == 0o600


def test_what_a_crash_left_is_removed_with_the_next_set(tmp_path):
    directory.publish(tmp_path, {"key.pem": b"1"})
    (tmp_path / "gen-crashed").mkdir()
    (tmp_path / "gen-crashed" / "key.pem").write_bytes(b"half")
    (tmp_path / ".next").symlink_to("gen-crashed")
    assert contents(tmp_path) == {"key.pem": b"1"}
    directory.publish(tmp_path, {"key.pem": b"2"})
    assert contents(tmp_path) == {"key.pem": b"2"}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_failure_keeps_the_old_set(tmp_path, monkeypatch):
    directory.publish(tmp_path, {"key.pem": b"1"})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory, "_write", full)
    with pytest.raises(LocalError, match="No space left"):
        directory.publish(tmp_path, {"key.pem": b"2"})
    assert contents(tmp_path) == {"key.pem": b"1"}


def test_something_else_in_the_place_of_the_symlink_is_left_alone(tmp_path):
    (tmp_path / "current").mkdir()
    with pytest.raises(LocalError, match="not made by us"):
        directory.publish(tmp_path, {"key.pem": b"1"})


def test_a_directory_that_others_may_write_gets_no_key(tmp_path):
    loose = tmp_path / "loose"
    loose.mkdir()
    loose.chmod(0o777)
    with pytest.raises(LocalError, match="0777"):
        directory.make_private(loose)


def test_a_new_directory_is_private(tmp_path):
    directory.make_private(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_a_single_file_is_replaced_by_a_rename(tmp_path):
    path = tmp_path / "x.json"
    directory.write_file(path, b"1")
    before = path.stat().st_ino
    directory.write_file(path, b"2")
    assert path.read_bytes() == b"2"
    assert path.stat().st_ino != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_leave_one_whole_set(tmp_path):
    def write(name):
        for number in range(20):
            directory.publish(tmp_path, {"cert.pem": b"%d%s" % (number, name), "key.pem": b"%d%s" % (number, name)})

    threads = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = contents(tmp_path)
    assert files["cert.pem"] == files["key.pem"]
    assert len(list(tmp_path.iterdir())) == 2
