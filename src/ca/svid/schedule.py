"""When a certificate is replaced, and when a failed replacement is tried again.

Pure: instants are unix seconds, handed in. The instant of rotation is drawn once per certificate, from its serial, so
that it is the same after a restart and a fleet that was started together spreads over the whole window (identity 71);
SPIRE draws anew at every check, which bunches.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

ROTATE_FROM: Final = 0.50
ROTATE_SPREAD: Final = 0.25
"""Of the life counted from issue: uniform over 50-75 %. What is left of the latest, 25 %, is the outage budget."""

DANGER_SHARE: Final = 0.10
"""Less life than this left is an alarm (identity 75)."""

STORM_SHARE: Final = 0.05
"""Two rotations of one identity closer than this share of its life become one (identity 79)."""

WINDOWS_IN_REMAINDER: Final = 20
WINDOW_S_MIN: Final = 5.0
FIRST_WINDOW_S: Final = 0.5
"""While there is no certificate at all: an Envoy waits 2 s for it before it opens its ports."""

_DRAW_RANGE: Final = float(2**64)


@dataclass(frozen=True, slots=True)
class Life:
    """One certificate's span: from its issue (not from the backdated notBefore) to its end."""

    serial: int
    issued_at_s: float
    not_after_s: float

    @property
    def length_s(self) -> float:
        """How long it lives in all."""
        return self.not_after_s - self.issued_at_s

    @property
    def rotate_at_s(self) -> float:
        """The instant, drawn once, at which its replacement is fetched."""
        return self.issued_at_s + self.length_s * (ROTATE_FROM + ROTATE_SPREAD * draw(self.serial_bytes + b"rot"))

    @property
    def changeable_at_s(self) -> float:
        """The earliest instant for a replacement that only a changed entry asks for."""
        return self.issued_at_s + self.length_s * STORM_SHARE

    @property
    def serial_bytes(self) -> bytes:
        """Big endian, as short as possible; what draws are made of."""
        return self.serial.to_bytes((self.serial.bit_length() + 7) // 8 or 1)

    def expired(self, now_s: float) -> bool:
        """True from its end on."""
        return now_s >= self.not_after_s

    def in_danger(self, now_s: float) -> bool:
        """True where so little is left that somebody should look."""
        return self.not_after_s - now_s < self.length_s * DANGER_SHARE


@dataclass(frozen=True, slots=True)
class Window:
    """A slice of time with one attempt in it."""

    end_s: float
    attempt_at_s: float


def draw(seed: bytes) -> float:
    """A number in [0, 1) that depends on the seed alone, uniform over seeds."""
    return int.from_bytes(hashlib.blake2b(seed, digest_size=8).digest()) / _DRAW_RANGE


def next_window(now_s: float, previous_end_s: float, life: Life | None, seed: bytes) -> Window:
    """The slice after a failed attempt: one attempt at a drawn point inside (identity 74).

    Not exponential from zero: that leaves capacity unused first and herds later.
    """
    begin_s = max(now_s, previous_end_s)
    length_s = _window_s(begin_s, life)
    return Window(begin_s + length_s, begin_s + length_s * draw(seed))


def _window_s(now_s: float, life: Life | None) -> float:
    if life is None:
        return FIRST_WINDOW_S
    shortest_s = min(WINDOW_S_MIN, life.length_s / WINDOWS_IN_REMAINDER)
    if life.expired(now_s):
        return max(shortest_s, life.length_s / (3 * WINDOWS_IN_REMAINDER))
    return max(shortest_s, (life.not_after_s - now_s) / WINDOWS_IN_REMAINDER)
