"""HTTP for people and probes: a Starlette app on Hypercorn's trio machinery.

Hypercorn's own entry point is not used: it binds by itself with errors that name no address, knows no check of who
connects to a Unix socket, and says "CTRL + C to quit". What it does best, the protocol on one connection, is.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from hypercorn.utils import wrap_app

from xds.edge.binding import Address, bound_socket, cannot_listen
from xds.errors import LocalError

logger: Final = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 64
"""Of one app. Scrapers, probes and people; more is a mistake, and must not take the file descriptors of Envoys."""

READ_TIMEOUT_S: Final = 30
"""A connection that says nothing for so long is closed."""

KEEP_ALIVE_S: Final = 1.0
"""Between two requests on one connection. Who asks less often connects anew, and is not counted meanwhile."""

BACKLOG: Final = 64
UNIX_MODE_MASK: Final = 0o117
"""Leaves 0660."""

_CREDENTIALS: Final = struct.Struct("3i")  # struct ucred: pid, uid, gid


async def serve_http(
    app: ASGIFramework,
    *,
    tcp: str | None = None,
    unix: Path | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an app until cancelled, on a TCP address, a Unix socket, or both.

    Started with the bound TCP address (`host:port`) or, without one, the socket's path. A failed bind is a
    `LocalError` that names the address. On the Unix socket only this user and root are served.
    """
    with ExitStack() as cleanup:
        listeners = []
        where = str(unix)
        if tcp is not None:
            listeners.append(_listener(_tcp_socket(tcp)))
            host, port = listeners[0].socket.getsockname()[:2]
            where = str(Address(host, port))
        if unix is not None:
            listeners.append(_listener(cleanup.enter_context(_unix_socket(unix))))
        task_status.started(where)
        await _serve(app, listeners)


async def _serve(app: ASGIFramework, listeners: list[trio.SocketListener]) -> None:
    doorman = _Doorman(app)
    async with trio.open_nursery() as connections:
        try:
            await trio.serve_listeners(doorman.serve, listeners, handler_nursery=connections)
        finally:
            doorman.close_all()


class _Connection(TCPServer):
    """Ends with the client: Hypercorn itself waits for the next request even after the end of all requests."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()


class _Doorman:
    """Lets connections in: so many at once, and on a Unix socket only this user's and root's."""

    def __init__(self, app: ASGIFramework) -> None:
        self._config = _config()
        self._app = wrap_app(app, self._config.wsgi_max_body_size, "asgi")
        self._context = WorkerContext(None)
        self._open: set[trio.SocketStream] = set()

    async def serve(self, stream: trio.SocketStream) -> None:
        """Serve one connection."""
        if not self._welcome(stream):
            await stream.aclose()
            return
        self._open.add(stream)
        try:
            await _Connection(
                self._app,
                self._config,
                self._context,
                ConnectionState({}),
                stream,  # type: ignore[arg-type] # it serves plain streams as well
            )
        finally:
            self._open.discard(stream)

    def close_all(self) -> None:
        """Close every connection. Hypercorn shields its writes: a client that does not read would hold us."""
        for stream in self._open:
            stream.socket.close()

    def _welcome(self, stream: trio.SocketStream) -> bool:
        if len(self._open) >= CONNECTIONS_MAX:
            logger.warning("more than %d HTTP connections at once: one was closed", CONNECTIONS_MAX)
            return False
        if stream.socket.family != socket.AF_UNIX:
            return True
        uid = _uid_of(stream)
        if uid not in {0, os.getuid()}:
            logger.warning("a connection of user %d to the admin socket was refused", uid)
            return False
        return True


def _uid_of(stream: trio.SocketStream) -> int:
    data = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(data)
    return int(uid)


def _config() -> Config:
    config = Config()
    config.errorlog = logging.getLogger("xds.edge.http.app")  # what an app raises goes to our log, nothing else does
    config.accesslog = None
    config.include_server_header = False
    config.read_timeout = READ_TIMEOUT_S
    config.keep_alive_timeout = KEEP_ALIVE_S
    return config


def _listener(sock: socket.socket) -> trio.SocketListener:
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(sock))


def _tcp_socket(tcp: str) -> socket.socket:
    sock = bound_socket(Address.parse(tcp))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


@contextmanager
def _unix_socket(path: Path) -> Iterator[socket.socket]:
    """A socket at the path, for this user and group only; a stale one is replaced, and ours is removed at the end."""
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(UNIX_MODE_MASK)
    try:
        sock.bind(os.fspath(path))
    except OSError as error:
        sock.close()
        raise cannot_listen(str(path), error) from None
    finally:
        os.umask(mask)
    ours = path.stat().st_ino
    try:
        yield sock
    finally:
        with suppress(FileNotFoundError):
            if path.stat().st_ino == ours:
                path.unlink()


def _remove_stale(path: Path) -> None:
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise LocalError(f"cannot listen on {path}: there is a file of that name that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
        trial.setblocking(False)
        try:
            trial.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass
    raise LocalError(f"cannot listen on {path}: another process serves there")
