"""The gRPC server: bind, serve, drain; and the boundary where every error becomes a status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Final, Protocol, TypeVar

import grpc
import grpc.aio
import trio

from xds import limits, names
from xds.edge import binding, clock, collector, descriptors, guest, requests, status
from xds.edge.binding import Address
from xds.edge.credentials import ServerCredentials
from xds.edge.identity import Peer, address_of, peer_of
from xds.edge.methods import Method, served_types
from xds.edge.options import CONNECTION_GRACE_S, server_options
from xds.edge.quota import Quota
from xds.edge.stream import FAILED, FINISHED, Ending, Rules, Stream, Tally, first_reply, read, wake_all, write
from xds.edge.upkeep import Upkeep
from xds.engine.session import Session
from xds.engine.view import View
from xds.engine.wire import NodeInfo
from xds.errors import Fault, LocalError, PeerError

__all__ = ["EdgeServer", "Host", "Method", "Stream", "server_options", "wake_all"]

T = TypeVar("T")

logger: Final = logging.getLogger(__name__)

FETCH_WAIT_S: Final = 5.0
"""A unary request waits so long for what does not exist yet (a secret that is being minted)."""

DRAINING: Final = "the server is draining; connect again"


class Host(Protocol):
    """Who a server serves for: decides who may connect and what each client sees. All calls are synchronous."""

    def admit(self, peer: Peer, method: Method) -> None:
        """A stream begins. Raises `PeerError` to refuse it."""

    def open(self, peer: Peer, node: NodeInfo, method: Method) -> View:
        """The stream's first request is here: which view is this client's? Raises `PeerError`."""

    def opened(self, stream: Stream) -> None:
        """A stream is about to be served."""

    def closed(self, stream: Stream) -> None:
        """A stream that was opened has ended."""


def _ignore(stream: Stream) -> None:
    """Rejections stay with the session until somebody asks."""


def _no_doubts(peer: Peer, node: NodeInfo) -> Collection[tuple[str, str]]:  # noqa: ARG001 (the default of a callback)
    """Nothing is known of earlier streams."""
    return ()


class EdgeServer:
    """A gRPC server of some discovery methods, for one host."""

    def __init__(
        self,
        host: Host,
        methods: Sequence[Method],
        *,
        trust_domain: str,
        forbidden_types: frozenset[str] = frozenset({names.SECRET}),
        identifier: str,
        on_rejected: Callable[[Stream], None] = _ignore,
        doubts: Callable[[Peer, NodeInfo], Collection[tuple[str, str]]] = _no_doubts,
        gate_timeout_s: float = limits.GATE_TIMEOUT_S,
        write_blocked_s: float = limits.WRITE_BLOCKED_S,
        fetch_wait_s: float = FETCH_WAIT_S,
        connection_grace_s: float = CONNECTION_GRACE_S,
        first_request_s: float = limits.FIRST_REQUEST_S,
        streams_per_identity: int = limits.STREAMS_PER_IDENTITY_MAX,
        wall: Callable[[], float] = clock.wall,
    ) -> None:
        """`on_rejected` hears of streams with new rejections; `doubts` says what a client rejected on earlier ones.

        `wall` is the clock of certificates.
        """
        for method in methods:
            if method.type_url in forbidden_types:
                raise LocalError(f"{method.method} carries a type that this server is told to refuse")
        self.tally = Tally()
        self._host = host
        self._methods = tuple(methods)
        self._trust_domain = trust_domain
        self._forbidden_types = forbidden_types
        self._identifier = identifier
        self._on_rejected = on_rejected
        self._doubts = doubts
        self._gate_timeout_s = gate_timeout_s
        self._write_blocked_s = write_blocked_s
        self._fetch_wait_s = fetch_wait_s
        self._connection_grace_s = connection_grace_s
        self._first_request_s = first_request_s
        self._quota = Quota(streams_per_identity)
        self._wall = wall
        self._served = served_types(methods)
        self._streams: set[Stream] = set()
        self._draining = False
        self._tls = True
        self._rules: Rules | None = None
        self._server: grpc.aio.Server | None = None
        self._upkeep: Upkeep | None = None

    @property
    def streams(self) -> Collection[Stream]:
        """The streams that are open now."""
        return self._streams

    async def start(
        self, listen: str, credentials: ServerCredentials | None, *, connection_age_s: float | None = None
    ) -> str:
        """Listen, and return the bound `host:port`. Called from trio.

        Without credentials it is plaintext, on loopback only (`ConfigError`). A failed bind is a `LocalError` that
        names the address.
        """
        address = Address.parse(listen)
        if credentials is None:
            binding.refuse_open_plaintext(address)
        if address.port:
            binding.probe(address)
        return await guest.call(self._start(address, credentials, connection_age_s))

    async def drain(self, grace_s: float) -> None:
        """End all streams with UNAVAILABLE, refuse new ones, and stop. Called from trio."""
        if self._server is None:
            return
        self._draining = True
        for stream in list(self._streams):
            stream.end(Fault.UNAVAILABLE, DRAINING)
        await guest.call(self._stop(grace_s))

    async def _start(
        self, address: Address, credentials: ServerCredentials | None, connection_age_s: float | None
    ) -> str:
        loop = asyncio.get_running_loop()
        self._tls = credentials is not None
        options = server_options(
            tls=self._tls,
            connection_age_s=connection_age_s,
            connection_grace_s=self._connection_grace_s,
            connections_max=descriptors.for_connections(),
        )
        server = grpc.aio.server(options=options)
        server.add_generic_rpc_handlers((self._handlers(),))
        port = _bind(server, address, credentials)
        self._rules = Rules(
            loop, self._forbidden_types, self._served, self._gate_timeout_s, self._on_rejected, self.tally
        )
        await server.start()
        self._server = server
        self._upkeep = Upkeep(loop, self._streams, self.tally, wall=self._wall, write_blocked_s=self._write_blocked_s)
        collector.scale(0)
        return str(Address(address.host, port))

    async def _stop(self, grace_s: float) -> None:
        if self._upkeep is not None:
            self._upkeep.stop()
        if self._server is not None:
            await self._server.stop(grace_s)
        self._server = None

    def _handlers(self) -> grpc.GenericRpcHandler:
        return _Handlers({method.path: self._handler(method) for method in self._methods})

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        async def stream(_: object, context: Any) -> None:
            await self._bounded(context, self._serve(method, context))

        async def fetch(data: bytes, context: Any) -> bytes | None:
            return await self._bounded(context, self._answer(method, data, context))

        if method.fetch:
            return grpc.unary_unary_rpc_method_handler(fetch)
        return grpc.stream_stream_rpc_method_handler(stream)

    async def _bounded(self, context: Any, serving: Coroutine[Any, Any, T]) -> T | None:
        """The boundary: no exception but grpc's own end of a call gets past, and no text but our sentences."""
        try:
            return await serving
        except PeerError as error:
            ending = Ending(error.fault, str(error))
        except _Ended as error:
            ending = error.ending
        except asyncio.CancelledError:
            raise  # the client is gone
        except Exception:
            logger.exception("a call of %s failed", address_of(context.peer()))
            ending = FAILED
        self.tally.refused[ending.fault] = self.tally.refused.get(ending.fault, 0) + 1
        await context.abort(*_status_of(ending))
        return None

    async def _serve(self, method: Method, context: Any) -> None:
        peer = self._admitted(method, context)
        with self._quota.place(peer):
            await self._stream(peer, method, context)

    async def _first(self, context: Any) -> Any:
        """The first message; nothing is kept for a client that does not send any."""
        try:
            async with asyncio.timeout(self._first_request_s):
                return await context.read()
        except TimeoutError:
            raise PeerError(Fault.UNAVAILABLE, f"no request within {self._first_request_s:g} s") from None

    async def _stream(self, peer: Peer, method: Method, context: Any) -> None:
        data = await self._first(context)
        if data is grpc.aio.EOF:
            return
        request = requests.decode(method, self._forbidden_types, data)
        stream = self._opened(peer, method, request)
        reader = None
        try:
            await context.send_initial_metadata(())
            stream.take_request(request)  # the names of one request are bounded by the session
            del request, data  # 61 KB of Node for each stream otherwise
            reader = asyncio.get_running_loop().create_task(read(stream, context))
            await write(stream, context)
        except asyncio.CancelledError:
            if stream.ending is None:
                raise  # the client is gone
        finally:
            if reader is not None:
                reader.cancel()
            self._closed(stream)
        if stream.ending is not None and stream.ending is not FINISHED:
            raise _Ended(stream.ending)

    async def _answer(self, method: Method, data: bytes, context: Any) -> bytes:
        peer = self._admitted(method, context)
        with self._quota.place(peer):
            request = requests.decode(method, self._forbidden_types, data)
            stream = self._opened(peer, method, request)
            try:
                stream.take_request(request)
                return await first_reply(stream, self._fetch_wait_s)
            finally:
                self._closed(stream)

    def _admitted(self, method: Method, context: Any) -> Peer:
        if self._draining:
            raise PeerError(Fault.UNAVAILABLE, DRAINING)
        peer = peer_of(context.auth_context(), context.peer(), self._trust_domain, self._wall())
        if self._tls and peer.spiffe_id is None:
            raise PeerError(Fault.UNAUTHENTICATED, f"the client at {peer.address} shows no certificate")
        self._host.admit(peer, method)
        return peer

    def _opened(self, peer: Peer, method: Method, request: Any) -> Stream:
        if self._rules is None:
            raise LocalError("a stream before the server has started")
        node = requests.first_node(request.node)
        view = self._host.open(peer, node, method)
        allowed = None if method.type_url is None else frozenset({method.type_url})
        doubts = self._doubts(peer, node)
        session = Session(view, delta=method.delta, allowed=allowed, identifier=self._identifier, doubts=doubts)
        stream = Stream(peer, node, method, session, opened_at=trio.current_time(), rules=self._rules)
        self._streams.add(stream)
        self.tally.opened += 1
        collector.scale(len(self._streams))
        try:
            self._host.opened(stream)
        except BaseException:
            self._closed(stream)
            raise
        return stream

    def _closed(self, stream: Stream) -> None:
        self._streams.discard(stream)
        try:
            self._host.closed(stream)
        finally:
            stream.close()


class _Ended(Exception):  # noqa: N818 (it is no error, it carries the reason out)
    """A stream has ended for a reason that its client is told."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.message)
        self.ending = ending


class _Handlers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Bytes in, bytes out: no serialisers."""

    def __init__(self, handlers: dict[str, grpc.RpcMethodHandler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return self._handlers.get(handler_call_details.method)


def _status_of(ending: Ending) -> tuple[grpc.StatusCode, str]:
    if ending.fault is None:
        return status.code_of(None), status.INTERNAL_SENTENCE
    return status.code_of(ending.fault), status.sentence(ending.message)


def _bind(server: grpc.aio.Server, address: Address, credentials: ServerCredentials | None) -> int:
    try:
        if credentials is None:
            return int(server.add_insecure_port(str(address)))
        return int(server.add_secure_port(str(address), credentials.grpc))
    except RuntimeError:
        raise LocalError(f"cannot listen on {address}") from None
