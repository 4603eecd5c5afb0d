"""The directory as a source, on a clock that the tests own."""

from __future__ import annotations

import os

import pytest
import trio
from control_support import Directory, cluster, run, with_directory

from xds import limits
from xds.control import child, scan
from xds.errors import LocalError


def test_what_is_there_at_the_start_is_published_before_the_source_says_started(tmp_path):
    (tmp_path / "a.yaml").write_text(cluster("a"))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.yml").write_text(cluster("b"))

    async def story(directory: Directory) -> None:
        assert directory.sink.names == [{"a", "b"}]
        assert directory.source.status.files == 2
        assert directory.source.status.resources == 2
        assert directory.source.status.error is None

    with_directory(tmp_path, story)


def test_an_empty_directory_is_a_state(tmp_path):
    async def story(directory: Directory) -> None:
        assert directory.sink.names == [set()]
        assert directory.sink.reports == [()]

    with_directory(tmp_path, story)


def test_several_files_become_one_change_after_the_quiet_time(tmp_path):
    async def story(directory: Directory) -> None:
        begun = trio.current_time()
        for name in "abc":
            directory.write(f"{name}.yaml", cluster(name))
            await trio.sleep(limits.DEBOUNCE_S / 2)
        last = trio.current_time() - limits.DEBOUNCE_S / 2
        await directory.settle()
        assert directory.sink.names == [set(), {"a", "b", "c"}]
        assert directory.sink.published[1][0] == pytest.approx(last + limits.DEBOUNCE_S)
        assert last > begun

    with_directory(tmp_path, story)


def test_the_rename_of_a_symlink_is_published_at_once(tmp_path):
    for version in ("v1", "v2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(cluster(version))
    (tmp_path / "resources").symlink_to("v1")

    async def story(directory: Directory) -> None:
        (tmp_path / "new").symlink_to("v2")
        (tmp_path / "new").rename(tmp_path / "resources")
        now = trio.current_time()
        directory.watch.changed(immediate=True)
        await directory.settle()
        assert directory.sink.names == [{"v1"}, {"v2"}]
        assert directory.sink.published[1][0] == now

    with_directory(tmp_path / "resources", story)


def test_files_that_change_without_end_are_read_all_the_same(tmp_path):
    async def story(directory: Directory) -> None:
        directory.write("a.yaml", cluster("a"))
        begun = trio.current_time()
        while trio.current_time() < begun + scan.BURST_MAX_S + 1:
            directory.watch.changed()
            await trio.sleep(limits.DEBOUNCE_S / 2)
        assert directory.sink.names == [set(), {"a"}]
        assert directory.sink.published[1][0] == pytest.approx(begun + scan.BURST_MAX_S)

    with_directory(tmp_path, story)


def test_a_bad_file_keeps_the_last_good_state_live_and_is_said_with_its_place(tmp_path):
    (tmp_path / "a.yaml").write_text(cluster("a"))

    async def story(directory: Directory) -> None:
        directory.write("a.yaml", cluster("a") + "  no_such_field: 1\n")
        await directory.settle()
        assert directory.sink.names == [{"a"}]
        assert "a.yaml:6" in directory.sink.reports[-1][0]
        assert "no_such_field" in directory.sink.reports[-1][0]
        assert directory.source.status.files == 1
        directory.write("a.yaml", cluster("b"))
        await directory.settle()
        assert directory.sink.names == [{"a"}, {"b"}]
        assert directory.sink.reports[-1] == ()
        assert directory.source.status.error is None

    with_directory(tmp_path, story)


def test_the_good_half_of_a_change_is_not_published(tmp_path):
    (tmp_path / "a.yaml").write_text(cluster("a"))

    async def story(directory: Directory) -> None:
        directory.write("a.yaml", cluster("a2"))
        directory.write("b.yaml", "resources: [")
        await directory.settle()
        assert directory.sink.names == [{"a"}]
        (tmp_path / "b.yaml").write_text(cluster("b"))
        directory.watch.changed()
        await directory.settle()
        assert directory.sink.names == [{"a"}, {"a2", "b"}]

    with_directory(tmp_path, story)


def test_files_that_do_not_fit_together_are_not_published(tmp_path):
    (tmp_path / "a.yaml").write_text(cluster("same"))

    async def story(directory: Directory) -> None:
        directory.write("b.yaml", cluster("same"))
        await directory.settle()
        assert directory.sink.names == [{"same"}]
        assert "b.yaml:2" in directory.sink.reports[-1][0]
        assert "a.yaml:2" in directory.sink.reports[-1][0]

    with_directory(tmp_path, story)


def test_a_bad_file_at_the_start_publishes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text("resources: {")

    async def story(directory: Directory) -> None:
        assert directory.sink.published == []
        assert "a.yaml" in directory.sink.reports[0][0]
        directory.write("a.yaml", cluster("a"))
        await directory.settle()
        assert directory.sink.names == [{"a"}]

    with_directory(tmp_path, story)


def test_an_emptied_directory_keeps_the_last_good_state(tmp_path):
    (tmp_path / "a.yaml").write_text(cluster("a"))

    async def story(directory: Directory) -> None:
        (tmp_path / "a.yaml").unlink()
        directory.watch.changed()
        await directory.settle()
        assert directory.sink.names == [{"a"}]
        assert "has become empty" in directory.sink.reports[-1][0]
        assert "resources: []" in directory.sink.reports[-1][0]
        directory.write("none.yaml", "resources: []\n")
        await directory.settle()
        assert directory.sink.names == [{"a"}, set()]

    with_directory(tmp_path, story)


def test_a_directory_that_vanishes_keeps_the_last_good_state_and_is_read_when_it_is_back(tmp_path):
    resources = tmp_path / "resources"
    resources.mkdir()
    (resources / "a.yaml").write_text(cluster("a"))

    async def story(directory: Directory) -> None:
        resources.rename(tmp_path / "elsewhere")
        directory.watch.changed()
        await directory.settle()
        assert directory.sink.names == [{"a"}]
        assert str(resources) in directory.sink.reports[-1][0]
        (tmp_path / "elsewhere").rename(resources)
        (resources / "a.yaml").write_text(cluster("b"))
        directory.watch.changed()
        await directory.settle()
        assert directory.sink.names == [{"a"}, {"b"}]
        assert directory.sink.reports[-1] == ()

    with_directory(resources, story)


def test_one_of_several_files_may_go(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(cluster(name))

    async def story(directory: Directory) -> None:
        (tmp_path / "a.yaml").unlink()
        directory.watch.changed()
        await directory.settle()
        assert directory.sink.names == [{"a", "b"}, {"b"}]

    with_directory(tmp_path, story)


def test_a_file_that_cannot_be_read_is_a_problem_and_not_an_absence(tmp_path):
    (tmp_path / "a.yaml").write_text(cluster("a"))
    (tmp_path / "b.yaml").write_text(cluster("b"))

    async def story(directory: Directory) -> None:
        (tmp_path / "b.yaml").unlink()
        (tmp_path / "b.yaml").symlink_to("gone.yaml")
        directory.watch.changed()
        await directory.settle()
        assert directory.sink.names == [{"a", "b"}]
        assert "b.yaml: is a symbolic link to a file that does not exist" in directory.sink.reports[-1]

    with_directory(tmp_path, story)


def test_only_files_that_changed_are_parsed_again(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(cluster(name))

    async def story(directory: Directory) -> None:
        directory.write("b.yaml", cluster("b", "2s"))
        await directory.settle()
        (_, first), (_, second) = directory.sink.published
        assert second.files["a.yaml"] is first.files["a.yaml"]
        assert second.files["b.yaml"] is not first.files["b.yaml"]

    with_directory(tmp_path, story)


def test_a_file_that_was_only_touched_publishes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text(cluster("a"))

    async def story(directory: Directory) -> None:
        os.utime(tmp_path / "a.yaml", ns=(1, 1))
        directory.watch.changed()
        await directory.settle()
        assert directory.source.status.loads == 2
        assert len(directory.sink.published) == 1

    with_directory(tmp_path, story)


def test_a_half_written_file_is_not_read_though_its_half_would_parse(tmp_path):
    async def story(directory: Directory) -> None:
        with (tmp_path / "a.yaml").open("w") as writer:
            writer.write(cluster("a"))
            writer.flush()
            directory.write("b.yaml", cluster("b"))
            await directory.settle()
            assert directory.sink.names == [set()]
            assert "a.yaml: is being written" in directory.sink.reports[-1][0]
        directory.watch.changed()
        await directory.settle()
        assert directory.sink.names == [set(), {"a", "b"}]

    with_directory(tmp_path, story)


def test_reload_reads_at_once_what_no_watch_told_of(tmp_path):
    async def story(directory: Directory) -> None:
        (tmp_path / "a.yaml").write_text(cluster("a"))
        now = trio.current_time()
        directory.source.reload()
        await directory.settle()
        assert directory.sink.names == [set(), {"a"}]
        assert directory.sink.published[1][0] == now

    with_directory(tmp_path, story)


def test_a_change_during_a_reading_is_read_after_it(tmp_path):
    (tmp_path / "slow.py").write_text("resources = []")

    async def slow(arguments, name):
        await trio.sleep(10)
        return child.Ended(0, b"", "")

    async def story(directory: Directory) -> None:
        assert "slow.py" in directory.sink.reports[-1][0]
        directory.watch.changed()
        directory.source.reload()
        await trio.sleep(5)
        (tmp_path / "slow.py").unlink()
        directory.write("a.yaml", cluster("a"))
        await trio.sleep(10)
        assert directory.sink.names == [{"a"}]

    with_directory(tmp_path, story, run_child=slow)


def test_a_watch_that_fails_is_the_process_s_failure(tmp_path):
    async def broken(paths):
        raise LocalError("no more watches")
        yield

    async def main() -> None:
        directory = Directory(tmp_path)
        directory.source._watch = broken
        with pytest.raises(ExceptionGroup) as caught:
            async with trio.open_nursery() as nursery:
                await nursery.start(directory.source.run, directory.sink)
        assert caught.group_contains(LocalError, match="no more watches")

    run(main)
