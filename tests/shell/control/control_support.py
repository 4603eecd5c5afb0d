"""What the tests of the shell share: a clock that jumps, a watch that the test drives, a sink that remembers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio
import trio.testing

from xds import names
from xds.config.files import parse_file
from xds.config.snapshot import Snapshot
from xds.control import child
from xds.control.source import DirectorySource
from xds.edge.watch import Change


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run on a clock that stands still while anything happens and jumps while nothing does."""
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def cluster(name: str, timeout: str = "1s") -> str:
    """A resource file with one cluster."""
    return f"""\
resources:
- "@type": {names.CLUSTER}
  name: {name}
  connect_timeout: {timeout}
  load_assignment: {{cluster_name: {name}}}
"""


def snapshot(**files: str) -> Snapshot:
    """A snapshot of files that are given as text, `name=text` for `name.yaml`."""
    return Snapshot.build(parse_file(f"{name}.yaml", text) for name, text in files.items())


class Sink:
    """Remembers what a source brings."""

    def __init__(self) -> None:
        self.published: list[tuple[float, Snapshot]] = []
        self.reports: list[tuple[str, ...]] = []

    def publish(self, snapshot: Snapshot) -> None:
        self.published.append((trio.current_time(), snapshot))

    def report(self, problems) -> None:
        self.reports.append(tuple(str(problem) for problem in problems))

    @property
    def names(self) -> list[set[str]]:
        """Names of the resources of each state that was published."""
        return [{name for _, name in one.records_for(())} for _, one in self.published]


class Watch:
    """A watch that tells of what the test says, at the test's time."""

    def __init__(self) -> None:
        self._send, self._receive = trio.open_memory_channel(100)

    async def __call__(self, paths):
        yield Change(immediate=True)
        async for change in self._receive:
            yield change

    def changed(self, *, immediate: bool = False) -> None:
        self._send.send_nowait(Change(immediate))


async def inline(function):
    """On a worker thread the clock would jump ahead of it."""
    await trio.lowlevel.checkpoint()
    return function()


class Directory:
    """A directory, a source that reads it, and the sink of that source."""

    def __init__(self, path: Path, run_child=child.run) -> None:
        self.path = path
        self.watch = Watch()
        self.sink = Sink()
        self.source = DirectorySource(path, watch=self.watch, offload=inline, run_child=run_child)

    def write(self, name: str, text: str) -> None:
        """Write a file and tell of it."""
        (self.path / name).write_text(text)
        self.watch.changed()

    async def settle(self) -> None:
        """Let a burst of changes become a state."""
        await trio.sleep(1)


def with_directory(path: Path, story: Callable[[Directory], Awaitable[None]], **arguments: Any) -> Directory:
    """Run a source and, once it has made its first attempt, the story."""
    told: list[Directory] = []

    async def main() -> None:
        directory = Directory(path, **arguments)
        told.append(directory)
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(directory.source.run, directory.sink))
            await story(directory)
            nursery.cancel_scope.cancel()

    run(main)
    return told[0]
