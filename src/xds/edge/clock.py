"""The wall clock against which clients' certificates are held, where nobody hands in another one."""

from __future__ import annotations

import time


def wall() -> float:
    """Seconds since 1970."""
    return time.time()
