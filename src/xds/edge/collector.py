"""All settings of the garbage collector, in this one place.

With the default thresholds young collections walk thousands of waiting futures again and again: 10 to 14 of 68 µs a
push at 2,000 streams. So generation 0 grows with the number of streams, and what has lived through a quiet time is
frozen: no later collection looks at it. Large thresholds hide reference cycles, therefore a stream must leave none (a
test of connects and resets watches it).
"""

from __future__ import annotations

import gc
from typing import Final

GEN0_MIN: Final = 10_000
GEN0_PER_STREAM: Final = 25
GEN1: Final = 20
GEN2: Final = 100

QUIET_S: Final = 10.0
"""So long nothing may have happened before a full collection, which stops everything for some 10 ms."""


def scale(streams: int) -> None:
    """Raise the thresholds to that many streams; cheap enough for every stream's begin.

    They are never lowered: several servers of a process need not know of each other.
    """
    gen0 = max(GEN0_MIN, GEN0_PER_STREAM * streams)
    if gen0 > gc.get_threshold()[0]:
        gc.set_threshold(gen0, GEN1, GEN2)


def settle() -> None:
    """Collect everything once and freeze what is left: after loading, and in quiet time."""
    gc.collect()
    gc.freeze()
