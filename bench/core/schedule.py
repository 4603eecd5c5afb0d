"""What runs in which order, and when each change is due: decided before anything starts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.core.clock import NS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """One publish: the resource that changes and the time, after the start, at which it is due (open loop)."""

    sequence: int
    resource: int
    due_ns: int


def changes(*, count: int, rate: float, resources: int, seed: int) -> tuple[Change, ...]:
    """`count` changes, `rate` a second, of resources drawn by the seed; numbered from 1."""
    if count < 1 or rate <= 0 or resources < 1:
        raise ValueError("a schedule needs at least one change, a positive rate and a resource")
    rng = random.Random(f"changes {seed}")
    period = NS / rate
    return tuple(Change(1 + i, rng.randrange(resources), round(i * period)) for i in range(count))


def interleaved(subjects: Sequence[T], pairs: int) -> Iterator[tuple[int, T]]:
    """(pair, subject) in the order A B, B A, A B, …: drift of the machine meets every subject alike."""
    for pair in range(pairs):
        for subject in subjects if pair % 2 == 0 else reversed(subjects):
            yield pair, subject
