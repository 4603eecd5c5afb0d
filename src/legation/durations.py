"""Durations as people write them (`20s`, `90m`, `1h30m`, `7d`), and lifetimes that fit together. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WHOLE = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", re.ASCII)

RATIO: Final = 6
"""The signer's inequality: leaf and node ≤ intermediate / 6, intermediate ≤ root / 6."""
LIFE_MIN_S: Final = 2
ROOT_MAX_S: Final = 10 * 365 * UNITS["d"]
BACKDATE_S: Final = (10, 300)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """The settings of `ca`, in seconds."""

    leaf: int
    intermediate: int
    root: int
    node: int
    backdate: int

    def nearest_valid(self) -> Lifetimes:
        """The same if they fit together; otherwise the nearest that do, leaf and node kept where possible."""
        leaf = _within(self.leaf, LIFE_MIN_S, ROOT_MAX_S // RATIO // RATIO)
        node = _within(self.node, LIFE_MIN_S, ROOT_MAX_S // RATIO // RATIO)
        intermediate = _within(self.intermediate, RATIO * max(leaf, node), ROOT_MAX_S // RATIO)
        root = _within(self.root, RATIO * intermediate, ROOT_MAX_S)
        return Lifetimes(leaf, intermediate, root, node, _within(self.backdate, *BACKDATE_S))

    def __str__(self) -> str:
        """As it is written in `legation.yaml`."""
        return (
            f"ca: {{leaf_ttl: {exact(self.leaf)}, intermediate_ttl: {exact(self.intermediate)}, "
            f"root_ttl: {exact(self.root)}, node_ttl: {exact(self.node)}, backdate: {exact(self.backdate)}}}"
        )


def _within(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def exact(seconds: int) -> str:
    """With every unit that says something: what `parse_duration` reads back."""
    return "".join(_parts(seconds)) or "0s"


def parse_duration(text: str) -> int:
    """Seconds. Raises `ValueError` that says what is expected."""
    match = _WHOLE.fullmatch(text)
    if not text or match is None:
        raise ValueError(
            f"{text!r} is no duration: whole numbers with the units d, h, m, s are expected, such as 20s, 7d or 1h30m"
        )
    return sum(int(count or 0) * seconds for count, seconds in zip(match.groups(), UNITS.values(), strict=True))


def format_duration(seconds: float) -> str:
    """The two largest units that say something: `6d23h`, `14m5s`, `9s`."""
    return "".join(_parts(max(0, round(seconds)))[:2]) or "0s"


def _parts(seconds: int) -> list[str]:
    parts = []
    for unit, size in UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return parts
