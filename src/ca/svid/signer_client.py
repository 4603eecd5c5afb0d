"""Speaks to the signer over its Unix socket: a length (4 bytes, big endian), one Request; the same back.

The socket is looked at before every connection: one that others could open or replace is refused with a sentence. A
request that meets a dead connection is sent once more on a fresh one with the same request id, so a lost answer makes
no second serial.
"""

from __future__ import annotations

import os
import secrets
import socket
import stat
import struct
from pathlib import Path
from typing import Any, Final

import trio
from google.protobuf.message import DecodeError, Message

from ca.svid.errors import SignerRefusedError, SignerUnavailableError
from xds.engine import wire
from xds.errors import LocalError

ANSWER_BYTES_MAX: Final = 1024 * 1024
"""A chain of three certificates and a bundle of ten roots are 10 KB."""

ANSWER_S_MAX: Final = 10.0
CONNECTIONS_MAX: Final = 8
_LENGTH = struct.Struct(">I")


class SignerClient:
    """Asks the signer; connects when needed. Raises `SignerUnavailableError` or `SignerRefusedError`."""

    def __init__(self, path: Path, *, answer_s_max: float = ANSWER_S_MAX) -> None:
        self._path = path
        self._answer_s_max = answer_s_max
        self._idle: list[trio.SocketStream] = []
        self._limit = trio.CapacityLimiter(CONNECTIONS_MAX)

    async def state(self) -> Any:
        """Authorities, bundle, and where the key-encryption key comes from: a `StateAnswer`."""
        return await self._ask(_request(state={}), "state")

    async def sign(self, verb: str, fields: dict[str, Any]) -> Any:
        """Have a CSR signed by `sign_leaf` or `sign_node`: a `Signed`."""
        return await self._ask(_request(**{verb: fields}), "signed")

    async def wait_there(self, patience_s: float, *, every_s: float = 0.05) -> Any:
        """Wait until the signer answers, at most that long. A socket that is not to be trusted ends the wait."""
        problem = SignerUnavailableError("the signer was not asked yet")
        with trio.move_on_after(patience_s):
            while True:
                try:
                    return await self.state()
                except SignerUnavailableError as error:
                    problem = error
                await trio.sleep(every_s)
        raise SignerUnavailableError(f"{problem}; waited {patience_s:g} s. Is `python -m ca.signer` running?")

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            await self._idle.pop().aclose()

    async def _ask(self, request: Message, wanted: str) -> Any:
        data = request.SerializeToString()
        async with self._limit:
            with trio.move_on_after(self._answer_s_max) as scope:
                answer = await self._exchange(data)
        if scope.cancelled_caught:
            raise SignerUnavailableError(f"the signer at {self._path} did not answer within {self._answer_s_max:g} s")
        return _result(answer, wanted, self._path)

    async def _exchange(self, data: bytes) -> bytes:
        while self._idle:
            try:
                return await self._once(self._idle.pop(), data)
            except SignerUnavailableError:
                continue  # it went away while idle; a fresh connection decides
        return await self._once(await connect(self._path), data)

    async def _once(self, stream: trio.SocketStream, data: bytes) -> bytes:
        healthy = False
        try:
            await stream.send_all(_LENGTH.pack(len(data)) + data)
            (length,) = _LENGTH.unpack(await _exactly(stream, _LENGTH.size))
            answer = await _exactly(stream, _bounded(length, self._path))
            healthy = True
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise SignerUnavailableError(f"the signer at {self._path} hung up before it answered") from error
        finally:
            if healthy:
                self._idle.append(stream)
            else:
                await trio.aclose_forcefully(stream)
        return answer


async def connect(path: Path) -> trio.SocketStream:
    """A connection to the signer. Raises `LocalError`; for what may pass, `SignerUnavailableError`."""
    check_socket(path)
    try:
        stream = await trio.open_unix_socket(path)
    except OSError as error:
        raise SignerUnavailableError(f"cannot connect to the signer at {path}: {error.strerror or error}") from error
    try:
        check_listener(stream, path)
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def check_socket(path: Path) -> None:
    """Refuse a path that is no socket, is not ours, or that others may open."""
    try:
        found = path.lstat()
    except FileNotFoundError as error:
        raise SignerUnavailableError(f"there is no signer socket at {path}") from error
    except OSError as error:
        raise SignerUnavailableError(f"cannot look at the signer socket {path}: {error.strerror or error}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise LocalError(f"{path} is not a socket; refusing to speak to it. Remove it and start the signer again")
    if found.st_uid not in _trusted_uids():
        raise LocalError(
            f"the signer socket {path} belongs to uid {found.st_uid}, neither to us ({os.geteuid()}) nor to root"
        )
    if found.st_mode & 0o077:
        mode = stat.S_IMODE(found.st_mode)
        raise LocalError(
            f"the signer socket {path} has mode {mode:04o}; others may open it. Make it 0600 and try again"
        )


def check_listener(stream: trio.SocketStream, path: Path) -> None:
    """Refuse a listener that runs as neither us nor root, whatever the file says."""
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", credentials)
    if uid not in _trusted_uids():
        raise LocalError(f"the process behind the signer socket {path} runs as uid {uid}; refusing to speak to it")


def _trusted_uids() -> set[int]:
    return {0, os.geteuid()}


async def _exactly(stream: trio.SocketStream, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        more = await stream.receive_some(length - len(data))
        if not more:
            raise trio.BrokenResourceError
        data += more
    return bytes(data)


def _bounded(length: int, path: Path) -> int:
    if length > ANSWER_BYTES_MAX:
        raise SignerUnavailableError(f"the signer at {path} announces an answer of {length} bytes; refusing to read it")
    return length


def _request(**verb: Any) -> Any:
    return wire.message("legation.signer.v1.Request")(request_id=secrets.token_hex(16), **verb)


def _result(data: bytes, wanted: str, path: Path) -> Any:
    response: Any = wire.message("legation.signer.v1.Response")()
    try:
        response.ParseFromString(data)
    except DecodeError as error:
        raise SignerUnavailableError(f"the signer at {path} answered something that is no answer") from error
    got = response.WhichOneof("result")
    if got == "refusal":
        raise SignerRefusedError(response.refusal.code, response.refusal.message)
    if got != wanted:
        raise SignerUnavailableError(f"the signer at {path} answered {got} where {wanted} was asked for")
    return getattr(response, got)
