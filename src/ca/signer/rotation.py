"""When an authority's certificate is to be replaced: predicates on `now`, asked again and again. No key comes near."""

from __future__ import annotations

from datetime import datetime
from typing import Final

RENEW_AT: Final = 0.5
"""Share of an intermediate's life, counted from its issue, after which the next one takes over (identity 80)."""


def should_renew_intermediate(issued_at: datetime, not_after: datetime, now: datetime) -> bool:
    """True from half of its life on. The backdate is no life: it would count as age on the first day."""
    return now >= issued_at + (not_after - issued_at) * RENEW_AT


def has_ended(not_after: datetime, now: datetime) -> bool:
    """True once a certificate is of no use any more."""
    return now >= not_after
