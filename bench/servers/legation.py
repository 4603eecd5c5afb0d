"""Legation itself: its own server with its own wiring, and only the source exchanged, a pipe instead of a directory.

Each cluster is a file of its own, as the directory source would have parsed it, so a change costs what it costs in the
product: the walk over the resource, the check of the new snapshot, the diff of each view, a commit, and the wake-ups.
Only reading the file's text is missing.
"""

from __future__ import annotations

import itertools
import signal
from functools import partial
from pathlib import Path
from typing import Any

import trio

from bench.core.pki import TRUST_DOMAIN
from bench.servers.acknowledged import tell_acknowledged
from bench.servers.commands import Config, obey, say
from xds import logs
from xds.api.descriptors import envoy_api
from xds.config.files import ParsedFile
from xds.config.resource import make_resource
from xds.config.snapshot import Snapshot
from xds.control.flow import Sink, SourceStatus
from xds.control.handshake import Bound
from xds.edge import guest
from xds.server import Settings, serve


class PipeSource:
    """Brings a snapshot for each line on standard input; the process ends when that closes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._corpus = config.corpus()
        self._live = Snapshot.build(itertools.starmap(_file, self._corpus.initial()))
        self.status = SourceStatus("a pipe", len(self._live.files), self._live.resources)

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None]) -> None:
        """Publish the initial state, then what is asked for."""
        sink.publish(self._live)
        task_status.started()
        async with trio.open_nursery() as nursery:
            if self._config.kind == "probe":
                nursery.start_soon(tell_acknowledged, partial(_sessions, sink))
            await obey(partial(self._publish, sink))
            nursery.cancel_scope.cancel()
        signal.raise_signal(signal.SIGTERM)  # as an operator ends it: it drains

    def reload(self) -> None:
        """There is nothing to read again."""

    def _publish(self, sink: Sink, sequence: int, resource: int) -> None:
        self._live = self._live.next([_file(*self._corpus.changed(resource, sequence))])
        sink.publish(self._live)


def _file(type_url: str, name: str, body: bytes) -> ParsedFile:
    path = f"{name}.yaml"
    message = envoy_api().message_for(type_url).FromString(body)
    return ParsedFile(path, (), (make_resource(type_url, name, message, path, 1),))


def _sessions(sink: Any) -> list[Any]:
    return [session for group in sink.store.groups for session in group.view.sessions]


def main() -> None:
    """Entry of the process."""
    config = Config.from_arguments()
    logs.configure("xds", level="info", log_format="text")
    if config.tls is None:
        settings = Settings(TRUST_DOMAIN, plaintext="127.0.0.1:0")
    else:
        settings = Settings(TRUST_DOMAIN, listen="127.0.0.1:0", tls=Path(config.tls["parent"]))

    def on_ready(bound: Bound) -> None:
        say(
            event="ready",
            listen=bound.listen or bound.plaintext,
            runtime="uvloop, trio guest",
            collector="the product's",
        )

    guest.run(partial(serve, settings, PipeSource(config), on_ready=on_ready))


if __name__ == "__main__":
    main()
