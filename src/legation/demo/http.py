"""The smallest HTTP/1.1 server and client that the demo needs: h11 on trio."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import h11
import trio

CHUNK: Final = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete response."""

    status: int
    headers: dict[str, str]
    body: str


class Client:
    """One connection at a time; the next request opens another one if the server closed it."""

    def __init__(self, port: int, *, keep_alive: bool) -> None:
        self._port = port
        self._keep_alive = keep_alive
        self._stream: trio.SocketStream | None = None
        self._connection = h11.Connection(h11.CLIENT)
        self.connections = 0

    async def get(self, path: str = "/") -> Answer:
        """One request. Raises `OSError`, `trio.BrokenResourceError` or `h11.ProtocolError` if there is no answer."""
        if self._stream is None:
            self._stream = await trio.open_tcp_stream("127.0.0.1", self._port)
            self._connection = h11.Connection(h11.CLIENT)
            self.connections += 1
        try:
            answer = await self._exchange(self._stream, path)
        except BaseException:
            await self.close()
            raise
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
        else:
            await self.close()
        return answer

    async def _exchange(self, stream: trio.SocketStream, path: str) -> Answer:
        headers = [("host", f"127.0.0.1:{self._port}"), ("connection", "keep-alive" if self._keep_alive else "close")]
        request = h11.Request(method="GET", target=path, headers=headers)
        ask = self._connection.send(request) or b""
        await stream.send_all(ask + (self._connection.send(h11.EndOfMessage()) or b""))
        status, found, body = 0, {}, b""
        while True:
            event = self._connection.next_event()
            if event is h11.NEED_DATA:
                self._connection.receive_data(await stream.receive_some(CHUNK))
            elif isinstance(event, h11.Response):
                status = event.status_code
                found = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, found, body.decode(errors="replace"))
            else:
                raise h11.RemoteProtocolError(f"the connection ended before the answer: {event!r}")

    async def close(self) -> None:
        """Close the connection, if there is one."""
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)
            self._stream = None


async def serve_app(
    port: int, host: str = "127.0.0.1", *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
) -> None:
    """The application behind api: says who asked, according to the certificate that Envoy verified."""
    await trio.serve_tcp(_serve, port, host=host, task_status=task_status)


async def _serve(stream: trio.SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    try:
        while await _serve_one(stream, connection):
            connection.start_next_cycle()
    except (trio.BrokenResourceError, h11.RemoteProtocolError):
        return  # the peer is gone, or speaks something else


async def _serve_one(stream: trio.SocketStream, connection: h11.Connection) -> bool:
    """One request and its response; False when the connection is at its end."""
    caller = ""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive_some(CHUNK))
        elif isinstance(event, h11.Request):
            caller = caller_of(dict(event.headers).get(b"x-forwarded-client-cert", b""))
        elif isinstance(event, h11.EndOfMessage):
            break
        elif isinstance(event, h11.ConnectionClosed):
            return False
    body = f"hello from the app; you came as {caller}\n".encode()
    headers = [("content-type", "text/plain"), ("content-length", str(len(body)))]
    parts = (h11.Response(status_code=200, headers=headers), h11.Data(data=body), h11.EndOfMessage())
    await stream.send_all(b"".join(connection.send(part) or b"" for part in parts))
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


def caller_of(header: bytes) -> str:
    """The SPIFFE ID in the header that api's Envoy sets (and strips from what comes in)."""
    parts = header.decode(errors="replace").split(";")
    return next((part.removeprefix("URI=") for part in parts if part.startswith("URI=")), "nobody")


if __name__ == "__main__":  # the application as a process of its own: HOST PORT
    trio.run(serve_app, int(sys.argv[2]), sys.argv[1])
