"""The floor: a grpc.aio server that sends ready bytes to each stream on each publish and drops every request unread.

Tuned, it has what the product has and decides nothing: the product's channel arguments, its collector settings, its
runtime (uvloop with trio as guest), one reader and one writer a stream, the writer asleep on a bare future. What a
server costs above it is its own work. Untuned, it is what one writes first: asyncio's own loop, default arguments and
collector, and each publish gathers one write per stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import trio

from bench.core import corpus
from bench.core.protobuf import field
from bench.servers.commands import Config, obey, say
from xds.edge import collector, guest
from xds.edge.credentials import ServerCredentials
from xds.edge.options import server_options
from xds.edge.stream import wake_all

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"
METHOD = "DeltaAggregatedResources"


class Stream:
    """One client: how far it has been sent to, and how to wake its writer."""

    __slots__ = ("context", "owner", "sent", "sleeping")

    def __init__(self, context: Any) -> None:
        self.context = context
        self.owner = self
        self.sent = 0
        self.sleeping: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let the writer look again."""
        if self.sleeping is not None and not self.sleeping.done():
            self.sleeping.set_result(None)


class Floor:
    """The messages so far, and the streams that get them."""

    def __init__(self, config: Config) -> None:
        self._corpus = config.corpus()
        self.messages = [_response(0, b"".join(_frame(0, resource) for resource in self._corpus.initial()))]
        self.streams: set[Any] = set()

    def publish(self, sequence: int, resource: int) -> None:
        """One change: made once, and every writer is woken."""
        self.messages.append(_response(sequence, _frame(sequence, self._corpus.changed(resource, sequence))))
        wake_all(self.streams)  # the product's own: so many at a time, then a turn for the sockets

    async def serve(self, _: object, context: Any) -> None:
        """Serve one stream."""
        if await context.read() is grpc.aio.EOF:
            return
        await context.send_initial_metadata(())
        stream = Stream(context)
        self.streams.add(stream)
        reader = asyncio.get_running_loop().create_task(_drop_all(context))
        try:
            await self._write(stream)
        finally:
            self.streams.discard(stream)
            reader.cancel()

    async def _write(self, stream: Stream) -> None:
        messages, loop = self.messages, asyncio.get_running_loop()
        while True:
            while stream.sent < len(messages):
                stream.sent += 1
                await stream.context.write(messages[stream.sent - 1])
            stream.sleeping = loop.create_future()
            await stream.sleeping


class UntunedFloor(Floor):
    """Each publish gathers one write per stream."""

    def publish(self, sequence: int, resource: int) -> None:
        """One change, written to every stream."""
        super().publish(sequence, resource)
        self._writing = asyncio.get_running_loop().create_task(self._write_all(self.messages[-1]))

    async def _write_all(self, message: bytes) -> None:
        await asyncio.gather(*(stream.context.write(message) for stream in self.streams))

    async def _write(self, stream: Stream) -> None:
        await stream.context.write(self.messages[0])
        await asyncio.get_running_loop().create_future()


async def _drop_all(context: Any) -> None:
    while await context.read() is not grpc.aio.EOF:
        pass


def _frame(sequence: int, resource: corpus.Resource) -> bytes:
    body = field(1, resource.type_url) + field(2, resource.body)
    return field(2, field(3, resource.name) + field(1, f"{sequence:032x}") + field(2, body))


def _response(sequence: int, frames: bytes) -> bytes:
    version = f"{sequence:032x}"
    return field(1, version) + frames + field(4, corpus.CLUSTER) + field(5, str(sequence + 1))


async def _start(config: Config, floor: Floor) -> tuple[grpc.aio.Server, int]:
    pem = config.pem()
    server = grpc.aio.server(options=server_options(tls=pem is not None) if config.tuned else None)
    handler = grpc.stream_stream_rpc_method_handler(floor.serve)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})])
    if pem is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", ServerCredentials(*pem).grpc)
    await server.start()
    return server, port


def _run_tuned(config: Config, floor: Floor) -> None:
    async def main() -> None:
        collector.scale(config.streams)
        server, port = await guest.call(_start(config, floor))
        collector.settle()
        say(event="ready", listen=f"127.0.0.1:{port}", runtime="uvloop, trio guest", collector="the product's")
        await obey(floor.publish)
        with trio.CancelScope(shield=True):
            await guest.call(server.stop(0))

    guest.run(main)


def _run_untuned(config: Config, floor: Floor) -> None:
    async def main() -> None:
        server, port = await _start(config, floor)
        say(event="ready", listen=f"127.0.0.1:{port}", runtime="asyncio, trio guest", collector="default")
        await _as_guest(lambda: obey(floor.publish))
        await server.stop(0)

    asyncio.run(main())


async def _as_guest(main: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        done_callback=done.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    (await done).unwrap()


def main(make: Callable[[Config], Floor] = Floor) -> None:
    """Entry of the process."""
    config = Config.from_arguments()
    if config.tuned:
        _run_tuned(config, make(config))
    else:
        _run_untuned(config, UntunedFloor(config))


if __name__ == "__main__":
    main()
