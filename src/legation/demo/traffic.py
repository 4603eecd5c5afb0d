"""The tasks that ask, and report to the tally. Told to stop, they finish the request that is under way."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import h11
import trio

from legation.client import fetch_status
from legation.demo.http import Client
from legation.demo.probe import certificate_of
from legation.demo.tally import Handshakes, Requests
from xds.errors import LocalError

ANSWER_S: Final = 5.0
"""No answer by then is a failure."""
PROBE_S: Final = 0.25
ASK_S: Final = 1.0
NETWORK: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError)


@dataclass(frozen=True, slots=True)
class Running:
    """What all tasks share: the order to stop, and the time of day for people."""

    stop: trio.Event
    clock: Callable[[], str]

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the order to stop."""
        with trio.move_on_after(seconds):
            await self.stop.wait()


async def ask_again(running: Running, client: Client, requests: Requests, pause_s: float) -> None:
    """Requests, one after the other."""
    while not running.stop.is_set():
        status, detail = await ask_once(client)
        requests.count(status, detail, running.clock())
        await running.pause(pause_s)
    await client.close()


async def ask_once(client: Client) -> tuple[int | None, str]:
    """The status of one answer, or None; and something that helps to understand it."""
    try:
        with trio.fail_after(ANSWER_S):
            answer = await client.get()
    except trio.TooSlowError:
        return None, f"nothing came within {ANSWER_S:.0f} s"
    except NETWORK as error:
        return None, f"{type(error).__name__}: {error}"
    return answer.status, answer.body.strip()[:200]


async def watch_handshakes(
    running: Running, port: int, context: ssl.SSLContext, seen: Handshakes, rotated: Callable[[Handshakes], None]
) -> None:
    """One handshake after the other; `rotated` is called for each new certificate but the first."""
    while not running.stop.is_set():
        try:
            with trio.fail_after(ANSWER_S):
                shown = await certificate_of(port, context)
        except (*NETWORK, trio.TooSlowError, ValueError):
            seen.failed += 1
        else:
            if seen.saw(shown, trio.current_time()):
                rotated(seen)
        await running.pause(PROBE_S)


async def watch_status(running: Running, socket: Path, answers: dict[str, Any], name: str) -> None:
    """Ask a process for its status, again and again."""
    while not running.stop.is_set():
        try:
            answers[name] = await fetch_status(socket)
        except LocalError as error:
            answers[name] = {"error": str(error)}
        await running.pause(ASK_S)
