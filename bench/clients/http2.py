"""One gRPC stream on one HTTP/2 connection, client side, without I/O: bytes in, messages out.

Written for a generator that must not be the limit: only the headers go through `hpack`; frames are cut by hand, and the
common case (one read holds one whole message) costs a few comparisons. Windows are Envoy's defaults.
"""

from __future__ import annotations

import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
STREAM_WINDOW = 16 * 1024 * 1024
CONNECTION_WINDOW = 24 * 1024 * 1024
DEFAULT_WINDOW = 65_535
DEFAULT_FRAME = 16_384
STREAM = 1

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE, _ENABLE_PUSH = 4, 5, 2


class StreamEnded(Exception):  # noqa: N818 (it is an event, not always an error)
    """The server ended the stream or the connection; the message says how."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def grpc_message(payload: bytes) -> bytes:
    """A message in gRPC's framing, uncompressed."""
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def ready_message(payload: bytes) -> bytes:
    """Wire bytes of a small message (one DATA frame): the same on every connection, so made once."""
    return frame(DATA, 0, STREAM, grpc_message(payload))


def opening(path: str, authority: str, *, tls: bool) -> bytes:
    """What a client sends first: preface, settings, windows, and the headers of the one stream."""
    headers = [
        (":method", "POST"),
        (":scheme", "https" if tls else "http"),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    settings = struct.pack(">HIHI", _ENABLE_PUSH, 0, _INITIAL_WINDOW_SIZE, STREAM_WINDOW)
    return b"".join(
        (
            PREFACE,
            frame(SETTINGS, 0, 0, settings),
            frame(WINDOW_UPDATE, 0, 0, (CONNECTION_WINDOW - DEFAULT_WINDOW).to_bytes(4, "big")),
            frame(HEADERS, END_HEADERS, STREAM, hpack.Encoder().encode(headers)),
        )
    )


class ClientStream:
    """State of the connection: what came and is incomplete, windows in both directions, what waits for a window."""

    __slots__ = (
        "_blocks",
        "_buffer",
        "_consumed",
        "_frame_max",
        "_message",
        "_peer_initial",
        "_send_connection",
        "_send_stream",
        "_unsent",
        "out",
    )

    def __init__(self) -> None:
        self.out = bytearray()
        """To be written by the caller, which then clears it."""
        self._buffer = b""
        self._message = bytearray()
        self._consumed = 0
        self._blocks: list[bytes] = []
        self._unsent = bytearray()
        self._send_connection = DEFAULT_WINDOW
        self._send_stream = DEFAULT_WINDOW
        self._peer_initial = DEFAULT_WINDOW
        self._frame_max = DEFAULT_FRAME

    def send(self, payload: bytes) -> None:
        """Queue a message; as much of it as the server's windows allow goes to `out`."""
        self._unsent += grpc_message(payload)
        self._flush()

    def send_ready(self, wire: bytes) -> None:
        """Queue a message made by `ready_message`."""
        size = len(wire) - 9
        if self._unsent or size > self._send_connection or size > self._send_stream:
            self._unsent += wire[9:]
            self._flush()
        else:
            self._send_connection -= size
            self._send_stream -= size
            self.out += wire

    def feed(self, data: bytes) -> list[bytes]:
        """Take received bytes; returns the messages that are now complete. Raises StreamEnded."""
        if not self._buffer and not self._message and len(data) > 14 and data[3:9] == b"\0\0\0\0\0\1":
            size = len(data) - 9
            if int.from_bytes(data[:3], "big") == size and int.from_bytes(data[10:14], "big") == size - 5:
                self._consume(size)
                return [data[14:]]
        return self._feed_slowly(data)

    def _feed_slowly(self, data: bytes) -> list[bytes]:
        buffer = self._buffer + data if self._buffer else data
        messages: list[bytes] = []
        at, end = 0, len(buffer)
        while end - at >= 9:
            size = int.from_bytes(buffer[at : at + 3], "big")
            if end - at - 9 < size:
                break
            payload = buffer[at + 9 : at + 9 + size]
            stream = int.from_bytes(buffer[at + 5 : at + 9], "big")
            self._frame(buffer[at + 3], buffer[at + 4], stream, payload, messages)
            at += 9 + size
        self._buffer = buffer[at:]
        return messages

    def _frame(self, kind: int, flags: int, stream: int, payload: bytes, messages: list[bytes]) -> None:
        if kind == DATA:
            self._consume(len(payload))
            self._data(payload[1 : -payload[0] or None] if flags & PADDED else payload, messages)
        elif kind == WINDOW_UPDATE:
            self._window_update(payload, connection=stream == 0)
        elif kind == SETTINGS and not flags & ACK:
            self._settings(payload)
        elif kind == PING and not flags & ACK:
            self.out += frame(PING, ACK, 0, payload)
        elif kind in {HEADERS, CONTINUATION}:
            self._blocks.append(payload)
        elif kind == RESET:
            raise StreamEnded(f"reset, error {int.from_bytes(payload, 'big')}")
        elif kind == GOAWAY:
            raise StreamEnded(f"goaway, error {int.from_bytes(payload[4:8], 'big')} {payload[8:]!r}")
        if flags & END_STREAM and kind in {HEADERS, DATA}:
            raise StreamEnded(self._status())

    def _data(self, payload: bytes, messages: list[bytes]) -> None:
        self._message += payload
        while len(self._message) >= 5:
            size = int.from_bytes(self._message[1:5], "big")
            if len(self._message) < 5 + size:
                return
            messages.append(bytes(self._message[5 : 5 + size]))
            del self._message[: 5 + size]

    def _consume(self, size: int) -> None:
        self._consumed += size
        if self._consumed >= STREAM_WINDOW // 2:
            increment = self._consumed.to_bytes(4, "big")
            self.out += frame(WINDOW_UPDATE, 0, 0, increment) + frame(WINDOW_UPDATE, 0, STREAM, increment)
            self._consumed = 0

    def _window_update(self, payload: bytes, *, connection: bool) -> None:
        increment = int.from_bytes(payload, "big")
        if connection:
            self._send_connection += increment
        else:
            self._send_stream += increment
        self._flush()

    def _settings(self, payload: bytes) -> None:
        for key, value in struct.iter_unpack(">HI", payload):
            if key == _INITIAL_WINDOW_SIZE:
                self._send_stream += value - self._peer_initial
                self._peer_initial = value
            elif key == _MAX_FRAME_SIZE:
                self._frame_max = value
        self.out += frame(SETTINGS, ACK, 0, b"")
        self._flush()

    def _flush(self) -> None:
        while self._unsent:
            size = min(len(self._unsent), self._send_connection, self._send_stream, self._frame_max)
            if size <= 0:
                return
            self.out += frame(DATA, 0, STREAM, bytes(self._unsent[:size]))
            del self._unsent[:size]
            self._send_connection -= size
            self._send_stream -= size

    def _status(self) -> str:
        decoder = hpack.Decoder()
        headers: dict[str, str] = {}
        for block in self._blocks:
            headers.update((str(key), str(value)) for key, value in decoder.decode(block))
        return f"grpc-status {headers.get('grpc-status', '?')}: {headers.get('grpc-message', '')}"
