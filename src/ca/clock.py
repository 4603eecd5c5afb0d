"""The wall clock, injected wherever certificates are concerned. Timeouts use trio's clock: another quantity."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Wall = Callable[[], datetime]
"""Says what time it is, in UTC and with the zone."""


def system() -> datetime:
    """The machine's wall clock."""
    return datetime.now(UTC)
