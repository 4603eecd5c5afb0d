"""What to send of a full-state type: every response holds the whole subscription (SotW clusters and listeners)."""

from __future__ import annotations

from typing import Final

from xds.engine import replies
from xds.engine.events import Reply
from xds.engine.gate import Window
from xds.engine.ordering import NEVER
from xds.engine.record import Record
from xds.engine.subscription import Subscription

NAMES_ONLY: Final = "+names"
"""Ends the version of a response to names. On its next stream a client may ask for everything and say that it holds
this version, and must not be taken for one that has everything (35)."""


def choose(subscription: Subscription, window: Window, identifier: str) -> Reply | None:
    """The response that is due, or None.

    A removal is absence from a response. Until the removals' gate opens, a response holds old and new together (73).
    """
    shelf = subscription.shelf
    asked = subscription.initial or any(name in shelf.records for name in subscription.asked)
    subscription.asked.clear()
    oldest = subscription.oldest_change()
    upto = removals_upto(subscription, window)
    withdrawn = [name for name, (_, commit) in subscription.lost.items() if commit < window.removals_before]
    lost = min(subscription.oldest_removal(), NEVER) if withdrawn or upto != subscription.removal_cursor else NEVER
    if not (asked or (window.changes and oldest != NEVER) or lost != NEVER):
        return None
    if asked:
        oldest = 0 if subscription.initial else min(oldest, shelf.commit)
    for name in withdrawn:
        del subscription.lost[name]
    reply = _wildcard(subscription, upto, identifier) if subscription.wildcard else _named(subscription, identifier)
    subscription.removal_cursor = upto
    subscription.caught_up()
    if reply.manifest.version == subscription.parked_version and not asked:
        return None  # back to what the client rejected, before it saw anything else (77)
    subscription.launched(reply, oldest, lost)
    return reply


def removals_upto(subscription: Subscription, window: Window) -> int:
    """How far the removals' log may be told."""
    if not (subscription.wildcard and subscription.reports_removals):
        return subscription.removal_cursor
    removals = subscription.shelf.removals
    if window.removals_before == NEVER:
        return removals.head
    return max(subscription.removal_cursor, removals.find(window.removals_before))


def _retained(subscription: Subscription, upto: int) -> list[Record]:
    """Removed records that the client has to keep for now."""
    shelf = subscription.shelf
    retained = {record.name: record for record, _ in subscription.lost.values() if record.name not in shelf.records}
    retained.update((record.name, record) for record in shelf.lost(upto))
    return list(retained.values())


def _wildcard(subscription: Subscription, upto: int, identifier: str) -> Reply:
    shelf = subscription.shelf
    cursor = -1 if subscription.initial else subscription.cursor

    key = ("full", identifier, cursor, subscription.removal_cursor, upto, tuple(subscription.lost))
    reply = shelf.shared(key, subscription.last_serial)
    if reply is not None:
        return reply
    retained = _retained(subscription, upto)
    changed = shelf.records.values() if cursor < 0 else shelf.since(cursor)
    gone = [record.name for record in shelf.lost(subscription.removal_cursor, upto)]
    manifest = replies.manifest_of(shelf, shelf.version_with(retained), changed, gone)
    return shelf.share(key, replies.sotw(shelf, manifest, [*shelf.records.values(), *retained], identifier))


def _named(subscription: Subscription, identifier: str) -> Reply:
    shelf = subscription.shelf
    held: list[Record] = [shelf.records[name] for name in subscription.names if name in shelf.records]
    changed = tuple(name for name in subscription.dirty if name in shelf.records)

    key = ("named", identifier, tuple(sorted(record.name for record in held)), changed, tuple(subscription.lost))
    reply = shelf.shared(key, subscription.last_serial)
    if reply is not None:
        return reply
    retained = _retained(subscription, shelf.removals.head)
    about = [shelf.records[name] for name in changed] or held
    manifest = replies.manifest_of(shelf, shelf.version_with(retained), about)
    mark = "" if shelf.version_given else NAMES_ONLY
    return shelf.share(key, replies.sotw(shelf, manifest, [*held, *retained], identifier, mark=mark))
