"""The entries directory: watched, read as one state, and the last good state stays (identity 59, 61)."""

from __future__ import annotations

import os
import socket

import pytest
import trio
import trio.testing
from fakes.ca_signer import until
from fakes.waiting import until_real

from ca.server.entries import EntryBook
from ca.server.entry_files import read_directory
from xds.errors import ConfigError
from xds.limits import DEBOUNCE_S

GOOD = "- {node: web, spiffe_id: spiffe://td.test/web, ttl: 20s, dns_names: [web.example]}\n"
OTHER = "entries:\n- node: api\n  spiffe_id: spiffe://td.test/api\n"


class Book:
    def __init__(self, directory) -> None:
        self.told: list = []
        self.book = EntryBook(directory, "td.test", self.told.append)

    def load(self):
        self.book.take(self.book.read())


def names(entries):
    return [str(entry.spiffe_id) for entry in entries]


def test_all_files_in_order_of_their_names(tmp_path):
    (tmp_path / "b.yaml").write_text(OTHER)
    (tmp_path / "a.yml").write_text(GOOD)
    (tmp_path / "c.json").write_text('[{"node": "web", "spiffe_id": "spiffe://td.test/c"}]')
    (tmp_path / ".a.yaml.swp").write_text("{{")
    (tmp_path / "README.md").write_text("{{")
    entries = read_directory(tmp_path, "td.test")
    assert names(entries) == ["spiffe://td.test/web", "spiffe://td.test/api", "spiffe://td.test/c"]
    assert entries[0].ttl_s == 20
    assert entries[0].where.endswith("a.yml:1")
    assert entries[1].where.endswith("b.yaml:2")


def test_an_empty_directory_and_empty_files_are_nobody(tmp_path):
    (tmp_path / "a.yaml").write_text("")
    (tmp_path / "b.yaml").write_text("# nothing yet\n")
    (tmp_path / "c.yaml").write_text("[]")
    assert read_directory(tmp_path, "td.test") == ()


BAD = {
    "half-written": ("- {node: web, spiffe_id", r"x\.yaml:1:\d+: did not find"),
    "unknown field": ("- {node: web, spiffe: spiffe://td.test/web}", r"x\.yaml:1: unknown field 'spiffe'"),
    "a key twice": ("- node: web\n  node: api\n", r"x\.yaml:2:3: the key 'node' stands twice"),
    "reserved": ("\n\n- {node: web, spiffe_id: spiffe://td.test/cp/xds}", r"x\.yaml:3: .*reserved"),
    "another domain": ("- {node: web, spiffe_id: spiffe://other/x}", r"x\.yaml:1: .*trust domain"),
    "malformed id": ("- {node: web, spiffe_id: 'spiffe://td.test/a/../b'}", r"x\.yaml:1: "),
    "no mapping": ("- web", r"x\.yaml:1: "),
    "a text": ("web", r"x\.yaml: expected a list"),
    "a constructor": ("- !!python/object/apply:os.system [id]", r"x\.yaml:1:\d+"),
    "twice the same": (GOOD + GOOD, r"x\.yaml:2: "),
    "a number for the node": ("- {node: 7, spiffe_id: spiffe://td.test/x}", r"x\.yaml:1: node"),
    "two documents": ("- a\n---\n- b\n", r"x\.yaml"),
    "unhashable key": ("? [a]\n: b\n", r"x\.yaml"),
    "control characters": ("- \x00\n", r"x\.yaml"),
    "deeply nested": ("[" * 5000, r"x\.yaml"),
    "merge keys": ("- &a {x: 1}\n- {<<: [*a, *a]}\n", r"x\.yaml:2:4: merge keys"),
    "bomb": ("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", r"x\.yaml"),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named_with_its_line_and_changes_nothing(tmp_path, text, expected):
    (tmp_path / "a.yaml").write_text(OTHER)
    made = Book(tmp_path)
    made.load()
    (tmp_path / "x.yaml").write_text(text)
    made.load()
    assert names(made.book.entries) == ["spiffe://td.test/api"]
    assert len(made.told) == 1
    with pytest.raises(ConfigError, match=expected):
        raise ConfigError(made.book.error)
    (tmp_path / "x.yaml").write_text(GOOD)
    made.load()
    assert made.book.error is None
    assert len(made.told) == 2


def test_every_bad_file_is_named(tmp_path):
    (tmp_path / "a.yaml").write_text("web")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"a\.yaml.*b\.yaml: is no UTF-8"):
        read_directory(tmp_path, "td.test")


def test_the_same_svid_twice_for_a_node_across_files_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"b\.yaml:1.*a\.yaml:1"):
        read_directory(tmp_path, "td.test")


def test_a_missing_directory_is_an_error_that_names_it(tmp_path):
    made = Book(tmp_path / "none")
    made.load()
    assert not made.book.loaded
    assert str(tmp_path / "none") in made.book.error


def test_an_unreadable_file_is_an_error(tmp_path):
    (tmp_path / "a.yaml").symlink_to("a.yaml")
    with pytest.raises(ConfigError, match=r"a\.yaml: cannot be read"):
        read_directory(tmp_path, "td.test")


def bound(path):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(path))


NO_FILES = {
    "a FIFO": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a directory": os.mkdir,
    "a socket": bound,
}


@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_refused_and_holds_nobody_up(tmp_path, make, monkeypatch):
    """A FIFO would be waited for until somebody writes, on the only thread."""
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "a.yaml")
    with pytest.raises(
        ConfigError, match=r"a\.yaml: (is no regular file|cannot be read: (No such device|Is a directory))"
    ):
        read_directory(tmp_path, "td.test")


def test_a_file_that_is_too_large_is_not_read_to_its_end(tmp_path):
    with (tmp_path / "a.yaml").open("w") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match=r"a\.yaml: is larger than 4194304 bytes"):
        read_directory(tmp_path, "td.test")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"\xff\xfe.yaml", r"\udcff\udcfe.yaml"),
        (b"x\n12:00 fake.yaml", r"x\n12:00 fake.yaml"),
        (b"\x1b]0;.yaml", r"\x1b]0;.yaml"),
    ],
)
def test_a_name_that_is_no_text_is_told_in_ascii(tmp_path, name, shown):
    """It goes into logs and JSON, where it would break a line or the whole answer."""
    with open(os.fsencode(tmp_path) + b"/" + name, "w") as file:  # noqa: PTH123 (bytes)
        file.write("web")
    made = Book(tmp_path)
    made.load()
    assert made.book.error.startswith(f"{tmp_path}/{shown}: expected a list")
    assert made.book.error.isprintable()


def test_a_ttl_beyond_what_the_signer_issues_is_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("- {node: web, spiffe_id: spiffe://td.test/web, ttl: 900d}\n")
    book = EntryBook(tmp_path, "td.test", list, ttl_max_s=28 * 3600)
    book.take(book.read())
    assert book.error == (
        f"{tmp_path}/a.yaml:1: ttl: 77760000s is too long, at most 100800s (a sixth of the intermediate's life)"
    )


def test_fifty_thousand_mistakes_are_one_message_of_some(tmp_path):
    (tmp_path / "a.yaml").write_text("- web\n" * 50_000)
    with pytest.raises(ConfigError, match=r"and 49980 more$") as caught:
        read_directory(tmp_path, "td.test")
    assert len(str(caught.value)) < 20_000


def test_many_entries_are_read_while_others_go_on(tmp_path):
    """In the time of the reading a task gets its turn all the while."""
    lines = [f"- {{node: n{number}, spiffe_id: 'spiffe://td.test/{number}'}}\n" for number in range(20_000)]
    (tmp_path / "a.yaml").write_text("".join(lines))
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async def main():
        made = Book(tmp_path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await made.book.load()
            nursery.cancel_scope.cancel()
        assert len(made.book.entries) == 20_000
        assert len(made.told) == 1

    trio.run(main)
    assert turns > 20


def test_a_reload_reads_again_though_nothing_changed(tmp_path):
    reads = []

    async def main():
        made = Book(tmp_path)
        read = made.book.read
        made.book.read = lambda: (reads.append(1), read())[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.book.watch)
            await until(lambda: reads)
            made.book.reload()
            made.book.reload()
            await until(lambda: len(reads) >= 2)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_the_same_again_is_told_once(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    made = Book(tmp_path)
    made.load()
    made.load()
    assert len(made.told) == 1


def test_changes_are_noticed_and_a_bad_file_too(tmp_path):
    """Real files and a real inotify: the test waits for what must come, not for a time."""

    async def main():
        changed = trio.Event()
        states: list = []

        def told(entries):
            nonlocal changed
            states.append(names(entries))
            changed.set()
            changed = trio.Event()

        book = EntryBook(tmp_path, "td.test", told)
        async with trio.open_nursery() as nursery:
            with trio.fail_after(20):
                event = changed
                nursery.start_soon(book.watch)
                await event.wait()
                assert states == [[]]
                event = changed
                (tmp_path / "a.yaml").write_text(GOOD)
                await event.wait()
                assert states[-1] == ["spiffe://td.test/web"]
                (tmp_path / "b.yaml").write_text("- {")
                await until(lambda: book.error)
                assert len(states) == 2
                (tmp_path / "b.yaml").unlink()
                await until(lambda: book.error is None)
                event = changed
                (tmp_path / "a.yaml").unlink()
                await event.wait()
                assert states[-1] == []
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_the_rename_of_a_symlink_counts_at_once(tmp_path):
    """A whole directory changes hands in one step, and there is nothing to wait for after that.

    Other changes are given time, so where no time passes the one is told and the others are not.
    """
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    (second / "a.yaml").write_text(GOOD)
    (tmp_path / "entries").symlink_to("1")
    states: list = []

    def time_passes():
        clock.jump(DEBOUNCE_S)
        return len(states) == 3

    async def main():
        book = EntryBook(tmp_path / "entries", "td.test", lambda entries: states.append(names(entries)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(book.watch)
            await until_real(lambda: states == [[]])
            (tmp_path / "next").symlink_to("2")
            (tmp_path / "next").rename(tmp_path / "entries")
            await until_real(lambda: len(states) == 2, "the new directory's entries")
            assert states[-1] == ["spiffe://td.test/web"]
            (second / "b.yaml").write_text(OTHER)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert len(states) == 2, "a file is given time"
            await until_real(time_passes, "the file's entry")
            nursery.cancel_scope.cancel()

    clock = trio.testing.MockClock()
    trio.run(main, clock=clock)
    assert states[-1] == ["spiffe://td.test/web", "spiffe://td.test/api"]
