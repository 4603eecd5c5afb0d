from __future__ import annotations

from contextlib import ExitStack, aclosing
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from xds.edge.watch import Change, changes


def told(paths, *steps):
    """Arm the watches, take each step, and return what was told after each."""
    found = []

    async def main() -> None:
        async with aclosing(changes(paths)) as news:
            assert await anext(news) == Change(immediate=True)
            for step in steps:
                step()
                with trio.fail_after(20):
                    found.append(await anext(news))

    trio.run(main)
    return found


def heard_after(paths, *steps):
    """Take each step in its turn, and return what has been told after each, which may be nothing."""
    found = []

    async def listen() -> None:
        async with aclosing(changes(paths)) as news:
            async for change in news:
                found[-1].append(change)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for step in (partial(nursery.start_soon, listen), *steps):
                found.append([])
                step()
                # The kernel has told by the time that the step returns: what is told is told before all wait again.
                await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert found[0] == [AT_ONCE]
    return found[1:]


LATER = Change(immediate=False)
AT_ONCE = Change(immediate=True)


def test_a_written_file_is_told(tmp_path: Path) -> None:
    assert told([tmp_path], lambda: (tmp_path / "a.yaml").write_text("x")) == [LATER]


def test_a_renamed_and_a_deleted_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    steps = (lambda: (tmp_path / "a").rename(tmp_path / "b"), (tmp_path / "b").unlink)
    assert told([tmp_path], *steps) == [LATER, LATER]


def test_a_directory_in_it_is_watched_too(tmp_path: Path) -> None:
    inner = tmp_path / "one" / "two"
    steps = (partial(inner.mkdir, parents=True), lambda: (inner / "a").write_text("x"))
    assert told([tmp_path], *steps)[-1] == LATER


def test_a_renamed_symlink_in_it_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    (tmp_path / "current").symlink_to("v1")
    (tmp_path / "next").symlink_to("v2")
    assert told([tmp_path], lambda: (tmp_path / "next").rename(tmp_path / "current")) == [AT_ONCE]


def test_the_directory_itself_may_be_a_symlink_that_is_renamed_over(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
    current = tmp_path / "current"
    current.symlink_to("v1")
    (tmp_path / "next").symlink_to("v2")
    found = told(
        [current],
        lambda: (tmp_path / "v1" / "a").write_text("x"),
        lambda: (tmp_path / "next").rename(current),
        lambda: (tmp_path / "v2" / "a").write_text("x"),
    )
    assert found == [LATER, AT_ONCE, LATER]


def test_after_the_swap_the_old_target_is_nobodys_business(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
    (tmp_path / "current").symlink_to("v1")

    (tmp_path / "next").symlink_to("v2")
    found = heard_after(
        [tmp_path / "current"],
        lambda: (tmp_path / "next").rename(tmp_path / "current"),
        lambda: (tmp_path / "v1" / "a").write_text("x"),
        (tmp_path / "v2" / "b").mkdir,
    )
    assert found == [[AT_ONCE], [], [LATER]]


def test_a_symlink_on_the_way_is_watched(tmp_path: Path) -> None:
    for version in ("v1", "v2"):
        (tmp_path / version / "inner").mkdir(parents=True)
    (tmp_path / "current").symlink_to("v1")
    (tmp_path / "next").symlink_to("v2")
    found = told(
        [tmp_path / "current" / "inner"],
        lambda: (tmp_path / "next").rename(tmp_path / "current"),
        lambda: (tmp_path / "v2" / "inner" / "a").write_text("x"),
    )
    assert found == [AT_ONCE, LATER]


def test_files_behind_a_symlink_out_of_the_tree_are_watched(tmp_path: Path) -> None:
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    tree.mkdir()
    outside.mkdir()
    (outside / "a").write_text("x")
    (tree / "a").symlink_to(outside / "a")

    def replace() -> None:
        (outside / "new").write_text("y")
        (outside / "new").rename(outside / "a")

    assert told([tree], replace) == [LATER]


def test_a_tree_that_loops_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "endless").symlink_to("endless")
    assert told([tmp_path], lambda: (tmp_path / "a").write_text("x")) == [LATER]


def test_a_directory_that_appears_later_is_told(tmp_path: Path) -> None:
    late = tmp_path / "one" / "two" / "late"
    found = told([late], lambda: late.mkdir(parents=True), lambda: (late / "a").write_text("x"))
    assert found[-1] == LATER


def test_a_directory_that_is_moved_away_and_comes_back_is_told(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    found = told(
        [inner],
        lambda: (tmp_path / "outer").rename(tmp_path / "away"),
        lambda: inner.mkdir(parents=True),
        lambda: (inner / "a").write_text("x"),
    )
    assert len(found) == 3


def test_one_file_can_be_watched(tmp_path: Path) -> None:
    file = tmp_path / "entries.yaml"
    file.write_text("x")
    assert told([file], lambda: file.write_text("y")) == [LATER]


def test_other_files_beside_it_are_not_told(tmp_path: Path) -> None:
    watched = tmp_path / "watched"
    watched.mkdir()
    steps = (lambda: (tmp_path / "other").write_text("x"), lambda: (watched / "a").write_text("x"))
    assert heard_after([watched], *steps) == [[], [LATER]]


def test_a_file_that_is_still_empty_is_not_told(tmp_path: Path) -> None:
    """It is told of once it has been written."""
    with ExitStack() as files:
        steps = (lambda: files.enter_context((tmp_path / "a").open("w")), files.close)
        assert heard_after([tmp_path], *steps) == [[], [LATER]]


def test_two_paths_to_one_directory_are_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    found = told([tmp_path / "alias", tmp_path / "real"], lambda: (tmp_path / "real" / "a").write_text("x"))
    assert found == [LATER]


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    told([tmp_path])
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("name", ["a.yaml", "b"])
def test_a_hard_link_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("x")
    tree = tmp_path / "tree"
    tree.mkdir()
    assert told([tree], lambda: (tree / name).hardlink_to(tmp_path / "outside")) == [LATER]
