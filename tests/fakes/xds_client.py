"""An xDS client over real gRPC, for tests: one connection, streams of both protocols.

It speaks with the messages of Envoy's API, from the descriptor set, and shares no code with the server's envelope.
All of it is asyncio; a trio test reaches it by `xds.edge.guest.call`.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.resources
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from fakes.certs import Pair

TIMEOUT_S = 20.0
"""For what must come; a test that waits so long has failed."""

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
DELTA_ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"


@functools.cache
def message(full_name: str) -> Any:
    """A message class of Envoy's API."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    data = importlib.resources.files("xds").joinpath("_gen", "envoy.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(data).file:
        pool.Add(file)
    return pool


class Connection:
    """One connection of its own. `async with Connection(address, ca_pem, pair) as connection`."""

    def __init__(
        self, address: str, ca_pem: bytes | None = None, pair: Pair | None = None, options: Sequence[Any] = ()
    ) -> None:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1), *options]
        if ca_pem is None:
            self.channel = grpc.aio.insecure_channel(address, options=options)
        else:
            key, cert = (None, None) if pair is None else (pair.key_pem, pair.cert_pem)
            credentials = grpc.ssl_channel_credentials(ca_pem, key, cert)
            self.channel = grpc.aio.secure_channel(address, credentials, options=options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, and wait for what gRPC still has to tell: its news for a closed loop upset the next."""
        await self.channel.close()
        async with asyncio.timeout(TIMEOUT_S):
            while any("_AioCall" in repr(task.get_coro()) for task in asyncio.all_tasks()):  # noqa: ASYNC110
                await asyncio.sleep(0)

    def sotw(self, path: str = ADS, *, node: str = "node") -> SotwStream:
        """A new stream of the state-of-the-world protocol."""
        return SotwStream(self.channel.stream_stream(path)(), node)

    def delta(self, path: str = DELTA_ADS, *, node: str = "node") -> DeltaStream:
        """A new stream of the incremental protocol."""
        return DeltaStream(self.channel.stream_stream(path)(), node)

    async def fetch(self, path: str, type_url: str, names: Sequence[str], *, node: str = "node") -> Any:
        """A unary request; raises `grpc.aio.AioRpcError`."""
        request = message("envoy.service.discovery.v3.DiscoveryRequest")(
            node={"id": node}, type_url=type_url, resource_names=names
        )
        data = await self.channel.unary_unary(path)(request.SerializeToString(), timeout=TIMEOUT_S)
        return message("envoy.service.discovery.v3.DiscoveryResponse").FromString(data)


class _Stream:
    request_type: str
    response_type: str

    def __init__(self, call: Any, node: str) -> None:
        self.call = call
        self._node = node
        self._introduced = False

    async def send(self, **fields: Any) -> None:
        """Send a request of these fields; the node goes with the first one only."""
        if not self._introduced and self._node and "node" not in fields:
            fields["node"] = {"id": self._node}
        self._introduced = True
        await self.send_bytes(message(self.request_type)(**fields).SerializeToString())

    async def send_bytes(self, data: bytes) -> None:
        """Send a request as it is. If the stream has ended, `receive` and `status` tell.

        Where the server refuses before it reads, do not send: a write that fails makes gRPC's client say INTERNAL.
        """
        with suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await asyncio.wait_for(self.call.write(data), TIMEOUT_S)

    async def receive(self) -> Any:
        """The next response; EOFError if the stream has ended."""
        try:
            data = await asyncio.wait_for(self.call.read(), TIMEOUT_S)
        except grpc.aio.AioRpcError:
            data = grpc.aio.EOF
        if data is grpc.aio.EOF:
            raise EOFError(str(await self.status()))
        return message(self.response_type).FromString(data)

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """How the stream ended. What came before is read, for gRPC tells the end after all messages only."""
        with suppress(grpc.aio.AioRpcError):
            while await asyncio.wait_for(self.call.read(), TIMEOUT_S) is not grpc.aio.EOF:
                pass
        code = await asyncio.wait_for(self.call.code(), TIMEOUT_S)
        return code, await self.call.details()

    async def half_close(self) -> None:
        """No more requests."""
        await self.call.done_writing()

    def cancel(self) -> None:
        """Reset the stream."""
        self.call.cancel()


class SotwStream(_Stream):
    """State of the world."""

    request_type = "envoy.service.discovery.v3.DiscoveryRequest"
    response_type = "envoy.service.discovery.v3.DiscoveryResponse"

    async def ask(self, type_url: str, names: Sequence[str] = (), **fields: Any) -> None:
        """Subscribe."""
        await self.send(type_url=type_url, resource_names=names, **fields)

    async def ack(self, response: Any, names: Sequence[str] = ()) -> None:
        """Accept."""
        await self.ask(response.type_url, names, version_info=response.version_info, response_nonce=response.nonce)

    async def nack(self, response: Any, text: str, names: Sequence[str] = (), version: str = "") -> None:
        """Reject; `version` is the one that the client still holds."""
        error = {"code": 13, "message": text}
        await self.ask(
            response.type_url, names, version_info=version, response_nonce=response.nonce, error_detail=error
        )


class DeltaStream(_Stream):
    """Incremental."""

    request_type = "envoy.service.discovery.v3.DeltaDiscoveryRequest"
    response_type = "envoy.service.discovery.v3.DeltaDiscoveryResponse"

    async def ask(
        self,
        type_url: str,
        subscribe: Sequence[str] = (),
        unsubscribe: Sequence[str] = (),
        initial: Mapping[str, str] | None = None,
        **fields: Any,
    ) -> None:
        """Change the subscription."""
        await self.send(
            type_url=type_url,
            resource_names_subscribe=subscribe,
            resource_names_unsubscribe=unsubscribe,
            initial_resource_versions=initial or {},
            **fields,
        )

    async def ack(self, response: Any) -> None:
        """Accept."""
        await self.send(type_url=response.type_url, response_nonce=response.nonce)

    async def nack(self, response: Any, text: str) -> None:
        """Reject."""
        error = {"code": 13, "message": text}
        await self.send(type_url=response.type_url, response_nonce=response.nonce, error_detail=error)
