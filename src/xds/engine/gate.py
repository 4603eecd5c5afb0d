"""Whether what a stream is owed may be sent now, or has to wait for the client's answers on other types."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from xds.engine.ordering import NEVER, REMOVED_AFTER, WAITS_FOR
from xds.engine.subscription import Subscription
from xds.names import CLUSTER, ROUTE


class Window(NamedTuple):
    """What may pass. `held` and `removals_held` are the oldest commits that wait for an answer, or for time to pass."""

    changes: bool = True
    """Whether changes may be sent."""
    removals_before: int = NEVER
    """Removals of commits below this one may be sent."""
    held: int = NEVER
    removals_held: int = NEVER


OPEN: Final = Window()
"""For whatever has to wait for nothing."""


class Released(NamedTuple):
    """The commits up to which waiting has taken long enough.

    Removals have a time of their own, that begins when the changes before them are sent.
    """

    changes: int = 0
    removals: int = 0


def window(subscriptions: Mapping[str, Subscription], subscription: Subscription, released: Released) -> Window:
    """What of one type may be sent."""
    parents = WAITS_FOR.get(subscription.type_url)
    oldest_removal = subscription.oldest_removal()
    held, changes = NEVER, True
    oldest = subscription.oldest_change()
    if parents is not None and released.changes < oldest < NEVER:
        # The newest change decides, for only the latest state can be sent; the oldest one says how long it has waited.
        newest = subscription.shelf.changed_commit
        changes = all(parent.unsettled() > newest for parent in _open(subscriptions, parents))
        held = NEVER if changes else oldest
    if oldest_removal == NEVER:
        return Window(changes, NEVER, held)
    if not changes and subscription.type_url not in REMOVED_AFTER:
        return Window(changes, 0, held)  # such a removal comes with the changes, in one response
    answered = cleared = NEVER
    for parent in _open(subscriptions, REMOVED_AFTER.get(subscription.type_url, ())):
        answered = min(answered, parent.flight_oldest, parent.flight_lost)
        # Time does not help while the parent's own part is unsent, or was rejected: old routes still use it (74).
        cleared = min(cleared, parent.oldest_unsent(), parent.oldest_removal(), parent.rejected_from)
    before = min(cleared, max(answered, released.removals + 1))
    return Window(changes, before, held, oldest_removal if before <= oldest_removal < cleared else NEVER)


def withheld(subscriptions: Mapping[str, Subscription], subscription: Subscription) -> Collection[str]:
    """Clusters that this client refused. It takes a route to one that it does not have, and answers 503 (facts 20).

    So such a route stays unsent, and the client keeps the one before it, until the clusters are accepted (71).
    """
    clusters = subscriptions.get(CLUSTER) if subscription.type_url == ROUTE else None
    return () if clusters is None or clusters.rejection is None else clusters.rejection.names


def _open(subscriptions: Mapping[str, Subscription], types: tuple[str, ...]) -> list[Subscription]:
    return [subscriptions[type_url] for type_url in types if type_url in subscriptions]
