"""The directory of resources as a source of snapshots.

One way only: watch → wait for quiet → list → read what changed → parse → `Snapshot.next` → sink. The directory is one
unit: while any of its files is bad nothing of it is published, because the good half of a change is a state that nobody
wrote. The last good state stays live, and every problem is handed to the sink for the status, the log and the metrics.

What is missing is never taken for a wish:

* a directory that does not exist when the process starts is a mistake of the configuration (`server` refuses it);
* one that vanishes or cannot be read later is a problem, and the last good state stays;
* one that is empty at the start is a valid state, and serves nothing;
* one that *becomes* empty is a problem (`scan.refuse_emptied`); a file with `resources: []` says that it is meant.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import trio

from xds.config.problems import Problem
from xds.control import child, reading, scan
from xds.control.contents import Contents, digest_of
from xds.control.flow import Sink, SourceStatus
from xds.control.parsing import parse, problems_of
from xds.control.watching import Watch, closing
from xds.edge.watch import changes
from xds.errors import ConfigError

T = TypeVar("T")

CHILDREN_MAX: Final = 2
"""Python files evaluated at one time: each is a process of its own that takes a core."""

RunChild = Callable[[Sequence[str], str], Awaitable[child.Ended]]


class Offload(Protocol):
    """Runs a blocking function where it does not hold up the streams."""

    async def __call__(self, function: Callable[[], T], /) -> T:
        """Return what the function returns."""


async def on_a_thread(function: Callable[[], T], /) -> T:
    """Parsing a large file takes seconds; the thread gives way to the loop every few milliseconds."""
    return await trio.to_thread.run_sync(function)


class DirectorySource:
    """Watches one directory and reads it."""

    def __init__(
        self,
        directory: Path,
        *,
        watch: Watch = changes,
        run_child: RunChild = child.run,
        offload: Offload = on_a_thread,
    ) -> None:
        self._directory = directory
        self._watch = watch
        self._run_child = run_child
        self._offload = offload
        self._contents = Contents(str(directory))
        self._debounce = scan.Debounce()
        self._woken = trio.Event()
        self._everything = False
        self._children = trio.CapacityLimiter(CHILDREN_MAX)
        self.status = SourceStatus(str(directory))

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Publish until cancelled; started after the first attempt."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._watching)
            await self._load(sink)
            task_status.started()
            while True:
                await self._wait_due()
                await self._load(sink)

    def reload(self) -> None:
        """Read every file again, changed or not."""
        self._everything = True
        self._note(at_once=True)

    def _note(self, *, at_once: bool) -> None:
        self._debounce.changed(trio.current_time(), at_once=at_once)
        self._woken.set()

    async def _watching(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with closing(self._watch((self._directory,))) as stream:
            await anext(stream)
            task_status.started()
            async for change in stream:
                self._note(at_once=change.immediate)

    async def _wait_due(self) -> None:
        while (due := self._debounce.due) > trio.current_time():
            self._woken = trio.Event()
            with trio.move_on_at(due):
                await self._woken.wait()

    async def _load(self, sink: Sink) -> None:
        """One pass over the directory; it ends with a publication or with the reasons why there is none."""
        self._debounce.taken()
        everything, self._everything = self._everything, False
        listing, decided = await self._offload(partial(self._look, everything=everything))
        async with trio.open_nursery() as nursery:
            for name in decided.read:
                nursery.start_soon(self._read, name)
        problems = self._contents.problems(listing) or await self._publish(sink)
        self._settle(problems)
        sink.report(problems)

    def _look(self, *, everything: bool) -> tuple[scan.Listing, scan.Plan]:
        """All that a change costs for each file that did not change: its stamp is taken and compared."""
        listing = reading.list_directory(self._directory)
        return listing, self._contents.begin(listing, everything=everything)

    async def _read(self, name: str) -> None:
        try:
            content = await (self._evaluated(name) if scan.is_python(name) else self._text(name))
        except ConfigError as error:
            self._contents.keep(name, b"", problems_of(name, error))
            if isinstance(error, reading.BeingWritten):
                self._contents.read_again(name)
            return
        digest = digest_of(content)
        if not self._contents.unchanged(name, digest):
            outcome = await self._offload(partial(parse, name, content))
            self._contents.keep(name, digest, outcome)

    async def _text(self, name: str) -> bytes:
        return await self._offload(partial(reading.read_bytes, self._directory / name, name))

    async def _evaluated(self, name: str) -> bytes:
        async with self._children:
            ended = await self._run_child(child.command(self._directory / name), name)
        return child.output_of(ended, name)

    async def _publish(self, sink: Sink) -> tuple[Problem, ...]:
        try:
            snapshot = await self._offload(self._contents.next)
        except ConfigError as error:
            return problems_of(str(self._directory), error)
        if snapshot is not None:
            sink.publish(snapshot)
            self._contents.published(snapshot)
        return ()

    def _settle(self, problems: tuple[Problem, ...]) -> None:
        old, contents = self.status, self._contents
        self.status = SourceStatus(old.path, contents.live_files, contents.live_resources, problems, old.loads + 1)
