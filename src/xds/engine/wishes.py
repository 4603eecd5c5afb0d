"""What a request says about the subscription, apart from whether it acknowledges anything (62-68)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from xds.engine.events import DeltaRequest
from xds.engine.subscription import Subscription

WILDCARD: Final = "*"


class Wish(NamedTuple):
    """A subscription's next state."""

    wildcard: bool
    added: Sequence[str]
    """Names to be answered; in delta also those that were subscribed before (42)."""
    dropped: Sequence[str]


def of_sotw(subscription: Subscription, names: Sequence[str], *, first: bool) -> Wish:
    """`names` is the whole subscription. The empty list is a wildcard only in the first request of some types."""
    wanted = dict.fromkeys(names)
    wildcard = WILDCARD in wanted or (first and not wanted and subscription.policy.legacy_wildcard)
    wanted.pop(WILDCARD, None)
    held = subscription.names
    return Wish(wildcard, [name for name in wanted if name not in held], [name for name in held if name not in wanted])


def of_delta(subscription: Subscription, request: DeltaRequest, *, first: bool) -> Wish:
    """Subscriptions first, then unsubscriptions (45)."""
    added, dropped = request.resource_names_subscribe, request.resource_names_unsubscribe
    wildcard = subscription.wildcard or WILDCARD in added
    if first and not added:
        wildcard = subscription.policy.legacy_wildcard
    if WILDCARD in dropped:
        wildcard = False
    return Wish(wildcard, [name for name in added if name != WILDCARD], [name for name in dropped if name != WILDCARD])
