"""What the processes with leaf keys have in common, beyond what every process does."""

from __future__ import annotations

import time


def boot_time_s() -> float:
    """The clock that goes on while the machine sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
