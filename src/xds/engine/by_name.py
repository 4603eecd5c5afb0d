"""What to send of every other type, and of all types in delta: only what is new, and names that are gone."""

from __future__ import annotations

from collections.abc import Collection

from xds.engine import replies
from xds.engine.events import Manifest, Reply
from xds.engine.full_state import removals_upto
from xds.engine.gate import Window
from xds.engine.ordering import NEVER
from xds.engine.record import Record
from xds.engine.shelf import Shelf
from xds.engine.subscription import Subscription


def choose(
    subscription: Subscription, window: Window, identifier: str, *, delta: bool, withheld: Collection[str] = ()
) -> Reply | None:
    """The response that is due, or None. Changes that send traffic to a cluster of `withheld` stay owed."""
    if subscription.restore:
        return _restored(subscription, identifier, delta=delta)
    if subscription.plain() and not withheld:
        return _shared(subscription, window, identifier, delta=delta)
    subscription.drain()
    if subscription.initial:
        subscription.initial = False
        subscription.asked.update(dict.fromkeys(subscription.shelf.records, 0))
    reply = _picked(subscription, window, identifier, delta=delta, withheld=withheld)
    for table in (subscription.asked, subscription.dirty, subscription.lost):
        if not table:
            table.clear()  # an emptied dict keeps its size otherwise, in every stream
    return reply


def _frame(shelf: Shelf, manifest: Manifest, identifier: str, *, delta: bool) -> Reply:
    if delta:
        return replies.delta(shelf, manifest, identifier)
    return replies.sotw(shelf, manifest, manifest.changed, identifier)


def _shared(subscription: Subscription, window: Window, identifier: str, *, delta: bool) -> Reply | None:
    """The part of the logs between the stream's cursors and their ends: one reply for all streams at these cursors."""
    shelf = subscription.shelf
    initial = subscription.initial
    cursor, removal_cursor = subscription.cursor, subscription.removal_cursor
    if initial:
        oldest = 0
        cursor, upto = -1, shelf.changes.head
        removal_cursor = removals = shelf.removals.head
    else:
        oldest = subscription.oldest_change() if window.changes else NEVER
        upto = shelf.changes.head if window.changes else cursor
        removals = removals_upto(subscription, window)
    lost = subscription.oldest_removal() if removals != removal_cursor else NEVER
    if not initial and (cursor, removal_cursor) == (upto, removals):
        return None

    key = ("part", identifier, delta, cursor, upto, removal_cursor, removals)
    reply = shelf.shared(key, subscription.last_serial)
    if reply is None:
        changed = list(shelf.records.values()) if cursor < 0 else shelf.since(cursor, upto)
        removed = [record.name for record in shelf.lost(removal_cursor, removals)]
        # The only empty response: the answer to a first wildcard that matches nothing (33, 34, 57).
        if changed or removed or (initial and (delta or subscription.policy.legacy_wildcard)):
            manifest = replies.manifest_of(shelf, shelf.version, changed, removed)
            reply = shelf.share(key, _frame(shelf, manifest, identifier, delta=delta))
    subscription.initial = False
    subscription.cursor, subscription.removal_cursor = upto, removals
    if reply is not None:
        subscription.launched(reply, oldest, lost)
    return reply


def _picked(
    subscription: Subscription, window: Window, identifier: str, *, delta: bool, withheld: Collection[str]
) -> Reply | None:
    """What is owed name by name: answers to the client first, then changes and removals that may pass."""
    chosen: dict[str, Record] = {}
    removed: dict[str, None] = {}
    oldest = _take_asked(subscription, chosen, removed, tell_missing=delta and subscription.policy.answer_missing)
    if window.changes and not (chosen and subscription.policy.one_per_response):
        oldest = min(oldest, _take_dirty(subscription, chosen, frozenset(withheld)))
    lost = _take_lost(subscription, removed, window.removals_before)
    if not (chosen or removed):
        return None
    _take_undone(subscription, removed)
    # Sorted, because clients name the same resources in any order and yet share the reply.
    key = ("names", identifier, delta, tuple(sorted(chosen)), tuple(sorted(removed)))
    shelf = subscription.shelf

    reply = shelf.shared(key, subscription.last_serial)
    if reply is None:
        manifest = replies.manifest_of(shelf, shelf.version, chosen.values(), tuple(removed))
        reply = shelf.share(key, _frame(shelf, manifest, identifier, delta=delta))
    subscription.launched(reply, oldest, lost)
    return reply


def _take_asked(
    subscription: Subscription, chosen: dict[str, Record], removed: dict[str, None], *, tell_missing: bool
) -> int:
    oldest = NEVER
    records = subscription.shelf.records
    for name, commit in list(subscription.asked.items()):
        del subscription.asked[name]
        record = records.get(name)
        if record is not None:
            chosen[name] = record
            oldest = min(oldest, commit)
            subscription.dirty.pop(name, None)
            if subscription.policy.one_per_response:
                break
        elif tell_missing and name not in subscription.lost:  # otherwise that removal has to wait for its turn
            removed[name] = None
    return oldest


def _take_dirty(subscription: Subscription, chosen: dict[str, Record], withheld: Collection[str]) -> int:
    oldest = NEVER
    records = subscription.shelf.records
    for name, commit in list(subscription.dirty.items()):
        record = records.get(name)
        if withheld and record is not None and any(cluster in withheld for cluster in record.clusters):
            continue
        del subscription.dirty[name]
        if record is None or subscription.parked.get(name) == record.version:
            continue  # gone by now, or back to what the client rejected before it saw anything else (77)
        chosen[name] = record
        oldest = min(oldest, commit)
        if subscription.policy.one_per_response:
            break
    return oldest


def _take_lost(subscription: Subscription, removed: dict[str, None], before: int) -> int:
    oldest = NEVER
    for name, (_, commit) in list(subscription.lost.items()):
        if commit >= before:
            continue
        del subscription.lost[name]
        if name not in subscription.shelf.records:
            removed[name] = None
            oldest = min(oldest, commit)
    return oldest


def _take_undone(subscription: Subscription, removed: dict[str, None]) -> None:
    """Removals of a rejected response, told again with what comes after it: the client may have applied none of it."""
    removed.update((name, None) for name in subscription.undone if name not in subscription.shelf.records)
    subscription.undone.clear()


def _restored(subscription: Subscription, identifier: str, *, delta: bool) -> Reply | None:
    """The last acknowledged resource once more, over a rejected one that the client may have kept (facts A2)."""
    name = next(iter(subscription.restore))
    record = subscription.restore.pop(name)
    shelf = subscription.shelf
    oldest, version, restored = NEVER, subscription.acked_version, True
    if shelf.records.get(name) == record:  # the view is back at it, so this is the present state and no exception
        oldest, version, restored = subscription.dirty.pop(name, NEVER), shelf.version, False
        subscription.asked.pop(name, None)
    manifest = replies.manifest_of(shelf, version or shelf.version, [record], restored=restored)
    reply = _frame(shelf, manifest, identifier, delta=delta)
    subscription.launched(reply, oldest, NEVER)
    return reply
