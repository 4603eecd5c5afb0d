"""What to send of every other type, and of all types in delta: only what is new, and names that are gone."""

from __future__ import annotations

from xds.engine import replies
from xds.engine.events import Manifest, Reply
from xds.engine.full_state import removals_upto
from xds.engine.gate import Window
from xds.engine.ordering import NEVER
from xds.engine.record import Record
from xds.engine.shelf import Shelf
from xds.engine.subscription import Subscription


def choose(subscription: Subscription, window: Window, identifier: str, *, delta: bool) -> Reply | None:
    """The response that is due, or None."""
    if subscription.restore:
        return _restored(subscription, identifier, delta=delta)
    if subscription.plain():
        return _shared(subscription, window, identifier, delta=delta)
    subscription.drain()
    if subscription.initial:
        subscription.initial = False
        subscription.asked.update(dict.fromkeys(subscription.shelf.records, 0))
    return _picked(subscription, window, identifier, delta=delta)


def _frame(shelf: Shelf, manifest: Manifest, identifier: str, serial: int, *, delta: bool) -> Reply:
    if delta:
        return replies.delta(shelf, manifest, identifier, serial)
    return replies.sotw(shelf, manifest, manifest.changed, identifier, serial)


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

    def build(serial: int) -> Reply | None:
        changed = list(shelf.records.values()) if cursor < 0 else shelf.since(cursor, upto)
        removed = [record.name for record in shelf.lost(removal_cursor, removals)]
        # The only empty response: the answer to a first wildcard that matches nothing (33, 34, 57).
        if not (changed or removed or (initial and (delta or subscription.policy.legacy_wildcard))):
            return None
        manifest = replies.manifest_of(shelf, shelf.version, changed, removed)
        return _frame(shelf, manifest, identifier, serial, delta=delta)

    key = ("part", identifier, delta, cursor, upto, removal_cursor, removals)
    reply = shelf.shared(key, subscription.last_serial, build)
    subscription.initial = False
    subscription.cursor, subscription.removal_cursor = upto, removals
    if reply is not None:
        subscription.launched(reply, oldest, lost)
    return reply


def _picked(subscription: Subscription, window: Window, identifier: str, *, delta: bool) -> Reply | None:
    """What is owed name by name: answers to the client first, then changes and removals that may pass."""
    chosen: dict[str, Record] = {}
    removed: dict[str, None] = {}
    oldest = _take_asked(subscription, chosen, removed, tell_missing=delta and subscription.policy.answer_missing)
    if window.changes and not (chosen and subscription.policy.one_per_response):
        oldest = min(oldest, _take_dirty(subscription, chosen))
    lost = _take_lost(subscription, removed, window.removals_before)
    if not (chosen or removed):
        return None
    # Sorted, because clients name the same resources in any order and yet share the reply.
    key = ("names", identifier, delta, tuple(sorted(chosen)), tuple(sorted(removed)))
    shelf = subscription.shelf

    def build(serial: int) -> Reply:
        manifest = replies.manifest_of(shelf, shelf.version, chosen.values(), tuple(removed))
        return _frame(shelf, manifest, identifier, serial, delta=delta)

    reply = shelf.shared(key, subscription.last_serial, build)
    if reply is not None:
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


def _take_dirty(subscription: Subscription, chosen: dict[str, Record]) -> int:
    oldest = NEVER
    records = subscription.shelf.records
    for name, commit in list(subscription.dirty.items()):
        del subscription.dirty[name]
        record = records.get(name)
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


def _restored(subscription: Subscription, identifier: str, *, delta: bool) -> Reply | None:
    """The last acknowledged resource once more, over a rejected one that the client may have kept (facts A2)."""
    name = next(iter(subscription.restore))
    record = subscription.restore.pop(name)
    shelf = subscription.shelf
    manifest = replies.manifest_of(shelf, subscription.acked_version or shelf.version, [record], restored=True)
    reply = _frame(shelf, manifest, identifier, next(shelf.serials), delta=delta)
    subscription.launched(reply, NEVER, NEVER)
    return reply
