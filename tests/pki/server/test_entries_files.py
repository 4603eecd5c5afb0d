"""The entries directory: watched, read as one state, and the last good state stays (identity 59, 61)."""

from __future__ import annotations

import pytest
import trio
from fakes.ca_signer import until

from ca.server.entries import EntryBook, read_directory
from xds.errors import ConfigError

GOOD = "- {node: web, spiffe_id: spiffe://td.test/web, ttl: 20s, dns_names: [web.example]}\n"
OTHER = "entries:\n- node: api\n  spiffe_id: spiffe://td.test/api\n"


class Book:
    def __init__(self, directory) -> None:
        self.told: list = []
        self.book = EntryBook(directory, "td.test", self.told.append)


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
    "half-written": ("- {node: web, spiffe_id", r"x\.yaml:1:\d+"),
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
    "bomb": ("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", r"x\.yaml"),
}


@pytest.mark.parametrize(("text", "expected"), BAD.values(), ids=BAD)
def test_a_bad_file_is_named_with_its_line_and_changes_nothing(tmp_path, text, expected):
    (tmp_path / "a.yaml").write_text(OTHER)
    made = Book(tmp_path)
    made.book.load()
    (tmp_path / "x.yaml").write_text(text)
    made.book.load()
    assert names(made.book.entries) == ["spiffe://td.test/api"]
    assert len(made.told) == 1
    with pytest.raises(ConfigError, match=expected):
        raise ConfigError(made.book.error)
    (tmp_path / "x.yaml").write_text(GOOD)
    made.book.load()
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
    made.book.load()
    assert not made.book.loaded
    assert str(tmp_path / "none") in made.book.error


def test_an_unreadable_file_is_an_error(tmp_path):
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        read_directory(tmp_path, "td.test")


def test_the_same_again_is_told_once(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    made = Book(tmp_path)
    made.book.load()
    made.book.load()
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
    """A whole directory changes hands in one step, and there is nothing to wait for after that."""
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    (second / "a.yaml").write_text(GOOD)
    (tmp_path / "entries").symlink_to("1")

    async def main():
        states: list = []
        came = trio.Event()

        def told(entries):
            states.append(names(entries))
            if entries:
                came.set()

        book = EntryBook(tmp_path / "entries", "td.test", told)
        async with trio.open_nursery() as nursery:
            with trio.fail_after(20):
                nursery.start_soon(book.watch)
                await until(lambda: states)
                (tmp_path / "next").symlink_to("2")
                (tmp_path / "next").rename(tmp_path / "entries")
                await came.wait()
            nursery.cancel_scope.cancel()

    trio.run(main)
