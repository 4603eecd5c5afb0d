"""What a client may be believed to hold from an earlier stream (35-37, 50-56)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from xds.engine.answers import EVERYTHING
from xds.engine.subscription import Subscription


def trust_sotw(subscription: Subscription, version: str) -> None:
    """Equal versions spare the answer, but only to a pure wildcard of a full-state type: names prove nothing (35)."""
    if not (subscription.full and version):
        return
    if not subscription.wildcard:
        # It may hold what is gone by now, and learns that from absence: so it is answered even if nothing is left (98).
        subscription.initial = bool(subscription.names)
    elif not subscription.names and version == subscription.shelf.version and not subscription.doubted:
        subscription.initial = False
        subscription.acked_version = subscription.sent_version = version


def trust_delta(subscription: Subscription, versions: Mapping[str, str], follow: Collection[str], commit: int) -> None:
    """Equal versions spare the resource; names that are gone are told.

    Not believed: names that this client rejected before (it reports what it held before that, facts A2), and endpoints
    of clusters sent on this stream (`follow`), for which the client waits in any case.
    """
    records, asked = subscription.shelf.records, subscription.asked
    doubted = {*subscription.doubted, *follow}
    if subscription.initial:
        subscription.initial = False
        asked.update(dict.fromkeys(records, commit))
        asked.update(dict.fromkeys((name for name in versions if name not in records), commit))
    for name, version in versions.items():
        if name in records and records[name].version == version and subscription.covers(name):
            if name in doubted or EVERYTHING in doubted:
                continue
            asked.pop(name, None)
            if subscription.policy.resend_after_nack:
                subscription.acked[name] = records[name]
    if not subscription.asked:
        subscription.acked_version = subscription.sent_version = subscription.shelf.version
