"""One stream: the synchronous half that decides, and the two loops that await.

The reader feeds requests to the session; the writer, which is the gRPC handler itself, sends what the session owes.
Everything that ends a stream (half-close, a bad request, our own failure, draining, a ban) sets `ending` and wakes the
writer, so there is one way out and no write is ever torn. What grpc.aio punishes, and what is done about it here:

- two writes at once lose a message: only the writer writes, replies of the reader go through `_outbox`;
- a cancelled read eats a message: the reader is cancelled at the very end only;
- a handler that returns during its first write leaves the client waiting: headers are sent before the writer starts;
- a write that nobody reads never ends: `upkeep` notices, and cancels the handler.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Protocol

import grpc.aio

from xds import limits
from xds.edge import requests
from xds.edge.identity import Peer
from xds.edge.methods import Method
from xds.engine.events import Reply
from xds.engine.session import Session
from xds.engine.wire import NodeInfo
from xds.errors import Fault, PeerError
from xds.names import shown

logger: Final = logging.getLogger(__name__)

WAKE_BATCH: Final = 256
"""So many writers are woken in one go; then the host loop gets a turn for its sockets."""


UNSERVED_TYPES_MAX: Final = 16
"""Types that clients ask for in vain: so many are named in the log, once each; all are counted."""

UNCOUNTED_BYTES_MAX: Final = 64 * 1024
"""Names are counted after requests of that size together: a name takes three bytes at least."""


class Transport(Protocol):
    """What a stream needs of grpc's context."""

    async def read(self) -> Any:
        """One message, or `grpc.aio.EOF` for every kind of end."""

    async def write(self, message: bytes) -> None:
        """Send one message; returns when the transport can take the next."""


@dataclass(slots=True)
class Tally:
    """Counters of a server, over all of its streams."""

    requests: int = 0
    replies: int = 0
    opened: int = 0
    refused: dict[Fault | None, int] = field(default_factory=dict)
    """Streams that ended with an error, by fault; None is our own."""
    unserved: int = 0
    """Requests for types that are not served here: they have no answer."""
    unserved_types: set[str] = field(default_factory=set)
    """Some of these types."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What all streams of a server share."""

    loop: asyncio.AbstractEventLoop
    forbidden_types: frozenset[str]
    served_types: frozenset[str]
    gate_timeout_s: float
    on_rejected: Callable[[Stream], None]
    tally: Tally


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a stream ends; holds no exception, which would tie the stream into a cycle with its own frames."""

    fault: Fault | None
    message: str


FINISHED: Final = Ending(None, "")
"""The client has half-closed: the status is OK."""
FAILED: Final = Ending(None, "failed")
"""Our own failure, which is in the log."""


class _Nobody:
    """Owner of a session whose stream is gone: waking it does nothing."""

    __slots__ = ()

    def wake(self) -> None:
        """Nothing."""


NOBODY: Final = _Nobody()


class Stream:
    """One client's stream: its peer, node and session, and what the two loops share."""

    __slots__ = (
        "__weakref__",
        "_gate",
        "_gated",
        "_node_print",
        "_outbox",
        "_rules",
        "_task",
        "_uncounted",
        "_waiter",
        "ending",
        "method",
        "node",
        "opened_at",
        "peer",
        "session",
        "unread",
        "writing",
    )

    def __init__(
        self, peer: Peer, node: NodeInfo, method: Method, session: Session, *, opened_at: float, rules: Rules
    ) -> None:
        self.peer = peer
        self.node = node
        self.method = method
        self.session = session
        self.opened_at = opened_at
        """By trio's clock."""
        self.ending: Ending | None = None
        self.writing = False
        self.unread = 0
        """For how many rounds of `upkeep` the present write has been waiting."""
        self._rules = rules
        self._node_print: tuple[int, int] | None = None
        self._uncounted = 0
        self._outbox: list[Reply] = []
        self._waiter: asyncio.Future[None] | None = None
        self._gate: asyncio.TimerHandle | None = None
        self._gated: int | None = None
        self._task = asyncio.current_task()
        session.owner = self

    def wake(self) -> None:
        """Have the writer look for something to send. Synchronous and cheap; any number of times."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def end(self, fault: Fault, message: str) -> None:
        """End this stream with a status. The first reason stays."""
        self._end(Ending(fault, message))
        if self.writing and self._task is not None:
            self._task.cancel()  # grpc still sends what was begun, and the status after it

    def feed(self, data: bytes) -> None:
        """Take one request. Raises `PeerError`."""
        request = requests.decode(self.method, self._rules.forbidden_types, data)
        self.take_request(request)
        self._count_names(len(data))

    def take_request(self, request: Any) -> None:
        """Take one decoded request: everything that the session decides happens here. Raises `PeerError`."""
        self._rules.tally.requests += 1
        if request.node:
            self._take_node(request.node)
        if request.type_url not in self._rules.served_types:
            self._unserved(request.type_url)
            return
        session = self.session
        reply = session.on_request(request)
        if session.rejections:
            self._rules.on_rejected(self)
        if reply is not None:
            self._outbox.append(reply)  # at most one a type, for no type has two in flight
            self.wake()
        elif session.held != self._gated:
            self._set_gate()

    def take_reply(self) -> bytes | None:
        """What the writer sends next; None if nothing is due."""
        session = self.session
        reply = self._outbox.pop(0) if self._outbox else session.next_reply()
        if reply is not None:
            self._rules.tally.replies += 1
            return reply.body
        if session.held != self._gated:  # only now is it valid
            self._set_gate()
        return None

    def asleep(self) -> asyncio.Future[None]:
        """The future on which the writer sleeps; `wake` ends it. Nothing may be awaited since `take_reply`."""
        self._waiter = waiter = self._rules.loop.create_future()
        return waiter

    def finished(self) -> None:
        """The client sends no more requests: it has half-closed, or is gone."""
        self._end(FINISHED)

    def failed(self) -> None:
        """End this stream because of our own mistake, which is in the log."""
        self._end(FAILED)

    def close(self) -> None:
        """Let go of everything; nothing may point back here afterwards."""
        self.session.close()
        self.session.owner = NOBODY
        if self._gate is not None:
            self._gate.cancel()
        self._gate = self._waiter = self._task = None
        self._outbox.clear()

    def _end(self, ending: Ending) -> None:
        if self.ending is None:
            self.ending = ending
        self.wake()

    def _take_node(self, data: bytes) -> None:
        node_print = requests.fingerprint(data)
        if self._node_print is None:
            self._node_print = node_print
        elif node_print != self._node_print:
            self.node = requests.later_node(self.node, data)
            self._node_print = node_print

    def _unserved(self, type_url: str) -> None:
        """The stream goes on, and the session, which would remember every type, never hears of it (100)."""
        tally = self._rules.tally
        tally.unserved += 1
        if type_url not in tally.unserved_types and len(tally.unserved_types) < UNSERVED_TYPES_MAX:
            tally.unserved_types.add(type_url)
            logger.warning("%s asks for %s, which is not served here", shown(self.node.id), shown(type_url))

    def _count_names(self, size: int) -> None:
        self._uncounted += size
        if self._uncounted <= UNCOUNTED_BYTES_MAX:
            return
        self._uncounted = 0
        if sum(each.names for each in self.session.status()) > limits.STREAM_NAMES_MAX:
            raise PeerError(Fault.EXHAUSTED, f"more than {limits.STREAM_NAMES_MAX} names on one stream")

    def _set_gate(self) -> None:
        if self._gate is not None:
            self._gate.cancel()
            self._gate = None
        self._gated = held = self.session.held
        if held is not None:
            self._gate = self._rules.loop.call_later(self._rules.gate_timeout_s, self._open_gate, held)

    def _open_gate(self, commit: int) -> None:
        self._gate = self._gated = None
        if self.session.release(commit):
            self.wake()
        if self.session.held is not None:
            self._set_gate()


async def read(stream: Stream, transport: Transport) -> None:
    """The reader: requests to the session, until the end of them."""
    try:
        while (data := await transport.read()) is not grpc.aio.EOF:
            stream.feed(data)
    except PeerError as error:
        stream.end(error.fault, str(error))
    except Exception:
        logger.exception("a stream of %s failed", stream.peer.address)
        stream.failed()
    else:
        stream.finished()


async def write(stream: Stream, transport: Transport) -> None:
    """The writer: what the session owes to the client, until the stream ends."""
    while stream.ending is None:
        body = stream.take_reply()
        if body is None:
            await stream.asleep()
            continue
        stream.unread = 0
        stream.writing = True
        try:
            await transport.write(body)
        finally:
            stream.writing = False


async def first_reply(stream: Stream, wait_s: float) -> bytes:
    """The answer of a unary request; it may be a moment before there is one. Raises `PeerError`."""
    try:
        async with asyncio.timeout(wait_s):
            while (body := stream.take_reply()) is None:
                await stream.asleep()
                _refuse_ended(stream)
    except TimeoutError:
        raise PeerError(Fault.UNAVAILABLE, "there is nothing to answer with yet; ask again") from None
    return body


def _refuse_ended(stream: Stream) -> None:
    ending = stream.ending
    if ending is not None:
        raise PeerError(ending.fault or Fault.UNAVAILABLE, ending.message)


def wake_all(sessions: Iterable[Session]) -> None:
    """Wake the streams of these sessions, a few hundred at a time, and await none of them.

    The first batch at once, each next one after the host loop has had a turn.
    """
    _wake_next(iter(list(sessions)))


def _wake_next(sessions: Iterable[Session]) -> None:
    woken = 0
    for session in islice(sessions, WAKE_BATCH):
        session.owner.wake()
        woken += 1
    if woken == WAKE_BATCH:
        asyncio.get_running_loop().call_soon(_wake_next, sessions)
