"""The signer's service: length-prefixed protobuf, requests read ahead and answered in their order.

All connections' requests meet in one queue. What has gathered there is signed in one go, with one write-ahead and one
result write to the journal for all of it; a client that does not read its answers holds up nobody but itself.
"""

from __future__ import annotations

import logging
import math
import os
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import trio

from ca.clock import Wall
from ca.errors import Code, LegationError, RefusedError
from ca.signer.issuer import Issued
from ca.signer.listener import peer_uid
from ca.signer.messages import bundle_message, read_request, write_answer, write_refusal, write_state
from ca.signer.verbs import Answer, SignRequest, Verbs
from xds.logs import event

log = logging.getLogger(__name__)

REQUEST_BYTES_MAX: Final = 64 * 1024
"""Four times the largest signing request; 64 names of 253 characters fit as well."""

CONNECTIONS_MAX: Final = 64
"""The callers are our own processes: the CA server, and enrolments under way."""

AHEAD_MAX: Final = 64
"""Requests of one connection that wait to be signed, and as many whose answers wait to be taken."""

BATCH_MAX: Final = 64
"""Signed in one go: about 20 ms in which nobody else is served."""

FRAME_S_MAX: Final = 10.0
"""From the first byte of a request to its last, and for taking an answer."""

_LENGTH = struct.Struct(">I")
_CHUNK: Final = 64 * 1024


class Pending:
    """A request on its way and, later, its answer."""

    __slots__ = ("_done", "answer", "request")

    def __init__(self, request: SignRequest | None = None) -> None:
        """Without a request it asks for the state."""
        self.request = request
        self.answer = b""
        self._done = trio.Event()

    def settle(self, answer: bytes) -> None:
        """Give the answer, a serialised Response."""
        self.answer = answer
        self._done.set()

    async def settled(self) -> bytes:
        """Wait for it."""
        await self._done.wait()
        return self.answer


class Frames:
    """Reads length-prefixed messages from a stream."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._broken = False

    async def next(self) -> bytes | None:
        """The next message; None at the end, or if the rest of one does not come. Raises `RefusedError`, then ends."""
        deadline = math.inf
        while not self._broken:
            frame = self._take()
            if frame is not None:
                return frame
            if self._buffer and deadline == math.inf:
                deadline = trio.current_time() + FRAME_S_MAX
            with trio.CancelScope(deadline=deadline):
                chunk = b""
                chunk = await self._stream.receive_some(_CHUNK)
            self._buffer += chunk
            self._broken = not chunk
        return None

    def _take(self) -> bytes | None:
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > REQUEST_BYTES_MAX:
            self._broken = True
            raise RefusedError(Code.TOO_LARGE, f"a request of {length} bytes; at most {REQUEST_BYTES_MAX} are read")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        frame = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return frame


class Service:
    """Reads requests, has them signed in batches, writes answers."""

    def __init__(self, verbs: Verbs, wall: Wall, *, kek_source: str, tick_s: float) -> None:
        self._verbs = verbs
        self._wall = wall
        self._kek_source = kek_source
        self._tick_s = tick_s
        self._queue: list[Pending] = []
        self._work = trio.Event()
        self._connections = 0
        self._accepting = trio.CancelScope()
        self._readers: set[trio.CancelScope] = set()

    def drain(self) -> None:
        """Take nothing more; what was taken is answered, then `serve` returns."""
        self._accepting.cancel()
        for reader in self._readers:
            reader.cancel()

    async def serve(
        self, listener: trio.SocketListener, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until drained."""
        async with trio.open_nursery() as background:
            background.start_soon(self._sign_batches)
            background.start_soon(self._ask_the_clock)
            task_status.started()
            async with listener, trio.open_nursery() as connections:
                with self._accepting:
                    await trio.serve_listeners(self._serve_connection, [listener], handler_nursery=connections)
                await listener.aclose()  # who comes now is refused at once, and does not wait for the rest
            background.cancel_scope.cancel()

    async def _sign_batches(self) -> None:
        """The one place from which signatures happen."""
        while True:
            await self._work.wait()
            batch, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
            if not self._queue:
                self._work = trio.Event()
            self._settle(batch)
            await trio.lowlevel.checkpoint()

    async def _ask_the_clock(self) -> None:
        while True:
            self._tick(self._wall())
            await trio.sleep(self._tick_s)

    def _tick(self, now: datetime) -> None:
        try:
            self._verbs.authority.tick(now)
        except LegationError as error:
            event(log, logging.ERROR, "the intermediate cannot be renewed", error=str(error))

    def _settle(self, batch: Sequence[Pending]) -> None:
        now = self._wall()
        if self._verbs.authority.ended(now):  # a suspended machine has just woken up, before the next tick
            self._tick(now)
        signing = [(pending, pending.request) for pending in batch if pending.request is not None]
        answers = self._verbs.sign([request for _, request in signing], now)
        bundle = bundle_message(self._verbs.authority.bundle)
        for (pending, request), answer in zip(signing, answers, strict=True):
            _log_answer(request, answer)
            pending.settle(write_answer(answer, bundle))
        for pending in batch:
            if pending.request is None:
                pending.settle(write_state(self._verbs, bundle, self._kek_source))

    async def _serve_connection(self, stream: trio.SocketStream) -> None:
        refusal = _stranger(stream) or self._too_many()
        self._connections += 1
        try:
            async with stream:
                if refusal is None:
                    await self._converse(stream)
                else:
                    await _send(stream, [write_refusal(refusal)])
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            event(log, logging.DEBUG, "a caller went away")
        finally:
            self._connections -= 1

    async def _converse(self, stream: trio.SocketStream) -> None:
        to_writer, from_reader = trio.open_memory_channel[Pending](AHEAD_MAX)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read, Frames(stream), to_writer)
            async with from_reader:
                await _write(stream, from_reader)
            nursery.cancel_scope.cancel()

    async def _read(self, frames: Frames, to_writer: trio.MemorySendChannel[Pending]) -> None:
        with trio.CancelScope() as scope:
            self._readers.add(scope)
            if self._accepting.cancel_called:
                scope.cancel()
            try:
                async with to_writer:
                    while (pending := await _next(frames)) is not None:
                        await _hand_on(to_writer, pending)
                        self._enqueue(pending)
            finally:
                self._readers.discard(scope)

    def _enqueue(self, pending: Pending) -> None:
        if not pending.answer:
            self._queue.append(pending)
            self._work.set()

    def _too_many(self) -> RefusedError | None:
        if self._connections < CONNECTIONS_MAX:
            return None
        return RefusedError(Code.BUSY, f"{CONNECTIONS_MAX} connections are open, which is the limit: try again later")


async def _next(frames: Frames) -> Pending | None:
    """The next request; one that is no request is answered with its refusal."""
    try:
        frame = await frames.next()
        return None if frame is None else Pending(read_request(frame))
    except RefusedError as refused:
        pending = Pending()
        pending.settle(write_refusal(refused))
        return pending


async def _hand_on(to_writer: trio.MemorySendChannel[Pending], pending: Pending) -> None:
    """Without a pause where there is room, so that what came together is signed together."""
    try:
        to_writer.send_nowait(pending)
    except trio.WouldBlock:
        await to_writer.send(pending)


async def _write(stream: trio.SocketStream, from_reader: trio.MemoryReceiveChannel[Pending]) -> None:
    """Write answers in the order of their requests until there are no more, or the client does not take them.

    What waits is written together: that makes room for as many requests at once, which are then signed together.
    """
    async for pending in from_reader:
        together = [pending]
        while len(together) < AHEAD_MAX and (more := _waiting(from_reader)) is not None:
            together.append(more)
        if not await _send(stream, [await one.settled() for one in together]):
            return


def _waiting(from_reader: trio.MemoryReceiveChannel[Pending]) -> Pending | None:
    try:
        return from_reader.receive_nowait()
    except (trio.WouldBlock, trio.EndOfChannel):
        return None


async def _send(stream: trio.SocketStream, answers: Sequence[bytes]) -> bool:
    """Write answers. False if the client did not take them in time."""
    with trio.move_on_after(FRAME_S_MAX):
        await stream.send_all(b"".join(_LENGTH.pack(len(answer)) + answer for answer in answers))
        return True
    return False


def _stranger(stream: trio.SocketStream) -> RefusedError | None:
    """Only our own user and root are served, whatever the file's mode has become."""
    uid = peer_uid(stream.socket)
    if uid in {0, os.geteuid()}:
        return None
    event(log, logging.WARNING, "refused a connection of another user", uid=uid)
    return RefusedError(Code.DENIED, f"uid {uid} may not use this signer")


def _log_answer(request: SignRequest, answer: Answer) -> None:
    identity = request.spiffe_id if hasattr(request, "spiffe_id") else request.node or request.server
    if isinstance(answer, Issued):
        serial, not_after = f"{answer.intent.serial:x}", answer.intent.window.not_after.isoformat()
        event(log, logging.DEBUG, "issued", spiffe_id=identity, serial=serial, not_after=not_after)
    else:
        event(log, logging.WARNING, "refused", code=answer.code, spiffe_id=identity, error=str(answer))
