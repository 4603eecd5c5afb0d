"""How long to wait before a process is started again. Pure."""

from __future__ import annotations

from typing import Final

FIRST_S: Final = 0.1
LONGEST_S: Final = 5.0
STABLE_S: Final = 10.0
"""A process that was ready for so long starts at the shortest wait again."""


class BackOff:
    """Doubles from 0.1 s to 5 s; the first restart after a stable time comes quickly."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = FIRST_S

    def after(self, ready_for_s: float) -> float:
        """Seconds to wait now, for a process that ended after it had been ready for so long (0: never)."""
        if ready_for_s >= STABLE_S:
            self._next = FIRST_S
        wait = self._next
        self._next = min(wait * 2, LONGEST_S)
        return wait
