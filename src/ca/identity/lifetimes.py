"""The lifetimes of an authority and the one inequality between them (identity D2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ca.errors import ConfigError

RATIO: Final = 6
"""Leaf ≤ intermediate / 6 and intermediate ≤ root / 6: an issuer renewed at half its life never shortens a leaf."""

BACKDATE_MIN_S: Final = 10
BACKDATE_MAX_S: Final = 300
LEAF_MIN_S: Final = 2
"""Below, a certificate ends before it has reached its Envoy; whole seconds are all that X.509 can say."""

DAY_S: Final = 86_400
ROOT_MAX_S: Final = 10 * 365 * DAY_S

_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": DAY_S}
_DURATION = re.compile(r"(\d{1,9})([smhd])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what lives, in seconds. `checked()` before use."""

    leaf_s: int = 3600
    intermediate_s: int = 7 * DAY_S
    root_s: int = 365 * DAY_S
    node_s: int = DAY_S
    backdate_s: int = 60

    @property
    def longest_leaf_s(self) -> int:
        """What a registration entry may ask for at most: the inequality's bound."""
        return self.intermediate_s // RATIO

    def nearest_valid(self) -> Lifetimes:
        """These lifetimes where they hold; otherwise the nearest that do, leaf and node kept where possible."""
        leaf_max_s = ROOT_MAX_S // RATIO // RATIO
        leaf_s = _clamp(self.leaf_s, LEAF_MIN_S, leaf_max_s)
        node_s = _clamp(self.node_s, LEAF_MIN_S, leaf_max_s)
        intermediate_s = _clamp(self.intermediate_s, RATIO * max(leaf_s, node_s), ROOT_MAX_S // RATIO)
        return Lifetimes(
            leaf_s=leaf_s,
            intermediate_s=intermediate_s,
            root_s=_clamp(self.root_s, RATIO * intermediate_s, ROOT_MAX_S),
            node_s=node_s,
            backdate_s=_clamp(self.backdate_s, BACKDATE_MIN_S, BACKDATE_MAX_S),
        )

    def checked(self) -> Lifetimes:
        """These lifetimes, if they hold. Raises `ConfigError` with the nearest set that does."""
        nearest = self.nearest_valid()
        if nearest == self:
            return self
        raise ConfigError(
            f"the lifetimes do not fit together: {self}. Needed: leaf and node ≤ intermediate / {RATIO}, "
            f"intermediate ≤ root / {RATIO}, root ≤ {_text(ROOT_MAX_S)}, leaf and node ≥ {LEAF_MIN_S}s, "
            f"backdate {BACKDATE_MIN_S}s to {BACKDATE_MAX_S}s. The nearest valid set: {nearest}"
        )

    def __str__(self) -> str:
        return (
            f"leaf {_text(self.leaf_s)}, node {_text(self.node_s)}, intermediate {_text(self.intermediate_s)}, "
            f"root {_text(self.root_s)}, backdate {_text(self.backdate_s)}"
        )


def read_duration(value: object) -> int:
    """Seconds of `20s`, `10m`, `1h`, `7d`: never without a unit. Raises `ValueError` that says the form."""
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)) is not None:
        seconds = int(match[1]) * _UNIT_S[match[2]]
    else:
        raise ValueError(f"{ascii(value)[:64]} is no duration: write for instance 20s, 10m, 1h or 7d")
    if seconds <= 0:
        raise ValueError(f"{ascii(value)[:64]} is no duration: it must be longer than nothing")
    return seconds


def _clamp(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def _text(seconds: int) -> str:
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNIT_S[unit] == 0:
            return f"{seconds // _UNIT_S[unit]}{unit}"
    return f"{seconds}s"
