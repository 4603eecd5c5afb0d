"""Durations as people write them: `20s`, `90m`, `1h30m`, `7d`. Pure."""

from __future__ import annotations

import re
from typing import Final

UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WHOLE = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", re.ASCII)


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
    rest = max(0, round(seconds))
    parts = []
    for unit, size in UNITS.items():
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2]) or "0s"
