"""HdrHistogram of latencies: microseconds, three digits, up to two minutes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hdrh.histogram import HdrHistogram

from bench.core.clock import US

LOWEST_US = 1
HIGHEST_US = 120_000_000
DIGITS = 3


class Latencies:
    """Records nanoseconds; percentiles are only ever read from the whole, never averaged."""

    def __init__(self) -> None:
        self._histogram: Any = HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS)

    def record(self, nanoseconds: int) -> None:
        """Count one latency; what exceeds the range counts as its end."""
        self._histogram.record_value(min(max(nanoseconds // US, LOWEST_US), HIGHEST_US))

    def merge(self, other: Latencies) -> None:
        """Add all that another one counted."""
        self._histogram.add(other._histogram)

    @property
    def count(self) -> int:
        """How many were recorded."""
        return int(self._histogram.get_total_count())

    def ms(self, percentile: float) -> float:
        """A percentile in milliseconds; 100 is the greatest."""
        return float(self._histogram.get_value_at_percentile(percentile)) / 1000

    def encode(self) -> str:
        """The raw histogram in HdrHistogram's own compressed form (any HdrHistogram tool reads it)."""
        return bytes(self._histogram.encode()).decode("ascii")

    @classmethod
    def decode(cls, text: str) -> Latencies:
        """Read what `encode` wrote."""
        self = cls()
        self._histogram = HdrHistogram.decode(text)
        return self

    def as_json(self) -> dict[str, object]:
        """Percentiles for people, and the raw histogram."""
        figures = {f"p{p:g}_ms": self.ms(p) for p in (50, 90, 99, 99.9, 100)}
        return {"count": self.count, **figures, "hdr": self.encode()}


def merged(parts: Iterable[Latencies]) -> Latencies:
    """One histogram of all parts."""
    whole = Latencies()
    for part in parts:
        whole.merge(part)
    return whole
