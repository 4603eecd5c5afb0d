"""Ratios with bootstrap intervals, and exponents of growth. Pure; randomness comes in as a seeded generator."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

ROUNDS = 2000
"""Bootstrap resamples: enough for the second digit of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]"

    def as_json(self) -> dict[str, float]:
        """For the result file."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Pair:
    """Samples of one A run and of the B run next to it (for instance CPU of each change)."""

    a: Sequence[float]
    b: Sequence[float]


def bootstrap(value: float, resample: Callable[[random.Random], float], rng: random.Random) -> Estimate:
    """The percentile interval of a statistic; `resample` draws one replicate."""
    replicates = sorted(resample(rng) for _ in range(ROUNDS))
    cut = ROUNDS * 25 // 1000
    return Estimate(value, replicates[cut], replicates[-1 - cut])


def ratio_of_pairs(pairs: Sequence[Pair], rng: random.Random) -> Estimate:
    """Geometric mean over pairs of mean(A)/mean(B).

    The interval resamples pairs, and within a pair the samples of each side: machines drift between pairs, and within
    a run changes differ.
    """
    if not pairs:
        raise ValueError("no pairs: nothing to compare")

    def replicate(rng: random.Random) -> float:
        drawn = rng.choices(pairs, k=len(pairs))
        return statistics.geometric_mean(_mean_again(p.a, rng) / _mean_again(p.b, rng) for p in drawn)

    value = statistics.geometric_mean(statistics.fmean(p.a) / statistics.fmean(p.b) for p in pairs)
    return bootstrap(value, replicate, rng)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Least-squares exponent of y = c·x^k through the points (log-log)."""
    if len({x for x, _ in points}) < 2:
        raise ValueError("an exponent needs at least two sizes")
    xs = [math.log(x) for x, _ in points]
    ys = [math.log(y) for _, y in points]
    return statistics.linear_regression(xs, ys).slope


def exponent(samples: Mapping[int, Sequence[float]], rng: random.Random) -> Estimate:
    """Exponent of growth of the mean over sizes; the interval resamples the samples of each size."""

    def replicate(rng: random.Random) -> float:
        return slope([(size, _mean_again(values, rng)) for size, values in samples.items()])

    value = slope([(size, statistics.fmean(values)) for size, values in samples.items()])
    return bootstrap(value, replicate, rng)


def _mean_again(values: Sequence[float], rng: random.Random) -> float:
    return statistics.fmean(rng.choices(values, k=len(values)))
