"""Clocks: one monotonic clock for all processes of a run, and the CPU clock of any process."""

from __future__ import annotations

import time

import trio

NS = 1_000_000_000
US = 1_000

now_ns = time.monotonic_ns
"""CLOCK_MONOTONIC: comparable between processes of one machine."""


def cpu_ns(pid: int) -> int:
    """User and system time of a process, all its threads, living and ended, in nanoseconds.

    The clock id is what clock_getcpuclockid(3) returns on Linux: exact, where /proc/PID/stat counts ticks of 10 ms.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


async def sleep_until_ns(due_ns: int) -> None:
    """Sleep until the monotonic clock shows `due_ns`; at once if it is past."""
    await trio.sleep(max(0, due_ns - now_ns()) / NS)
