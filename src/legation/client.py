"""Asks the admin APIs of xds and ca, over their Unix sockets (trio)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import httpx

from xds.errors import LocalError

TIMEOUT_S: Final = 5.0
STATUS: Final = "http://legation/v1/status"


async def fetch_status(socket: Path) -> dict[str, Any]:
    """What the process behind the socket says of itself. Raises `LocalError` that says why not."""
    try:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(socket)), timeout=TIMEOUT_S) as client:
            return read(await client.get(STATUS), socket)
    except httpx.HTTPError as error:
        raise LocalError(f"{socket}: {why(error, socket)}") from None


def read(response: httpx.Response, socket: Path) -> dict[str, Any]:
    """The answer's document. Raises `LocalError` for any other answer."""
    if response.status_code != httpx.codes.OK:
        raise LocalError(f"{socket} answered {response.status_code}: {response.text[:200]}")
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise LocalError(f"{socket} answered something else than a JSON object")
    return answer


def why(error: httpx.HTTPError, socket: Path) -> str:
    """The reason in words."""
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {TIMEOUT_S:.0f} s"
    if not socket.exists():
        return "no such socket: the process is not running"
    text = str(error)
    if "Permission denied" in text:
        return "permission denied: ask as the user that runs `legation up`, or as root"
    if "refused" in text:
        return "nobody listens there any more: the process has ended"
    return text or type(error).__name__
