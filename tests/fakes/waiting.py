"""Waiting with a bound: for what another process or the kernel will tell. A bound that is reached fails the test."""

from __future__ import annotations

import http.client
import os
import select
import subprocess
import time
from collections.abc import Callable
from typing import Any

import trio

BOUND_S = 60.0
"""Generous: it is for tests that have failed."""
PAUSE_S = 0.02
NOT_YET = (OSError, http.client.HTTPException, ValueError, KeyError, subprocess.SubprocessError)


def wait_for(condition: Callable[[], Any], what: str, *, bound_s: float = BOUND_S, log: Callable[[], str] = str) -> Any:
    """The first true answer of a condition. One that raises `NOT_YET` is not true yet."""
    end = time.monotonic() + bound_s
    while True:
        try:
            seen = condition()
        except NOT_YET as error:
            seen, error = None, repr(error)
        else:
            error = repr(seen)
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"not within {bound_s} s: {what}; last seen: {error}\n{log()}")
        time.sleep(PAUSE_S)


def read_line(descriptor: int, what: str, *, bound_s: float = BOUND_S) -> str:
    """One line of a pipe that carries no other; what came before its end if it ends."""
    end, line = time.monotonic() + bound_s, b""
    while not line.endswith(b"\n"):
        readable, _, _ = select.select([descriptor], [], [], max(0.0, end - time.monotonic()))
        assert readable, f"not within {bound_s} s: {what}; so far: {line!r}"
        chunk = os.read(descriptor, 65536)
        if not chunk:
            break
        line += chunk
    return line.decode()


async def until_real(condition: Callable[[], Any], what: str = "", *, bound_s: float = 20.0) -> Any:
    """The first true answer where trio's clock stands still (`MockClock`).

    A test that fails sets the clock going, so that whoever waits for its time at the end gets it.
    """
    end = time.monotonic() + bound_s
    while not (found := condition()):
        if time.monotonic() > end:
            trio.lowlevel.current_clock().rate = 1000.0
            raise AssertionError(f"not within {bound_s} s, and without any time of the clock: {what or condition}")
        await trio.lowlevel.checkpoint()
    return found
