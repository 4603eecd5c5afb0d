"""What a client's acknowledgement or rejection of the response in flight means for what it is sent next."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from xds.engine.events import Manifest, Rejection, Status
from xds.engine.ordering import NEVER
from xds.engine.record import Record
from xds.engine.subscription import Late, Subscription
from xds.limits import ERROR_DETAIL_CHARS_MAX

EVERYTHING: Final = "*"
"""In a list of doubted names: all of a type."""

SAFE_BEGINNINGS: Final = (
    "Failed to load private key",
    "Failed to load certificate chain",
    "Failed to load trusted CA certificate",
    "Failed to load incomplete",
    "Failed to load CRL",
    "Unexpected SDS secrets length",
    "Unexpected SDS secret",
    "Missing SDS resources",
    "Proto constraint validation failed",
)
"""Of Envoy's texts about secrets; what stands behind these words may be the secret itself (facts 9, A3)."""

WITHHELD: Final = "rejected by the client; its text is withheld, it may quote the secret"

_PUNCTUATION: Final = ".,:;'\"()[]{}<>"


def accept(subscription: Subscription, manifest: Manifest) -> bool:
    """The response in flight is acknowledged. True if that makes more due: rejected resources are worth another try."""
    subscription.landed()
    subscription.acked_version = manifest.version
    if subscription.policy.resend_after_nack:
        subscription.acked.update((each.name, each) for each in manifest.changed if subscription.covers(each.name))
    if subscription.doubted:
        subscription.doubted -= {EVERYTHING, *(record.name for record in manifest.changed)}
    if manifest.restored or not (subscription.rejection or subscription.parked):
        return False
    return _recovered(subscription, manifest.changed)


def _recovered(subscription: Subscription, changed: Iterable[Record]) -> bool:
    """Something is acknowledged after a rejection.

    In delta a client drops the good resources that stood behind the bad one in the same response (facts 20), and does
    not say which these are. So when one of the rejected names is accepted in a new version, the others are sent once
    more, without it. Each such try takes a change by the operator, so there is no loop (77).
    """
    subscription.parked_version = ""
    retry = False
    for record in changed:
        retry |= subscription.parked.pop(record.name, record.version) != record.version
    if not subscription.parked:
        subscription.rejected_from = NEVER
        subscription.rejection = None
        return False
    if retry:
        commit = subscription.shelf.commit
        for name in subscription.parked:
            subscription.asked.setdefault(name, commit)
    return retry


def reject(subscription: Subscription, manifest: Manifest, detail: Status) -> Rejection:
    """The response in flight is rejected: park what it said, and put back secrets that the client held before."""
    oldest = min(subscription.flight_oldest, subscription.flight_lost)
    subscription.landed()
    if subscription.full:
        subscription.parked_version = manifest.version
    if subscription.policy.resend_after_nack and not manifest.restored:
        for record in manifest.changed:
            good = subscription.acked.get(record.name)
            if good is not None and good.version != record.version:
                subscription.restore[record.name] = good
    return _refused(subscription, subscription.nonce, manifest, oldest, detail)


def reject_late(subscription: Subscription, late: Late, detail: Status) -> Rejection:
    """A response that was given up is rejected after all, while the one after it is under way."""
    subscription.late = None
    return _refused(subscription, late.nonce, late.manifest, late.oldest, detail)


def _refused(subscription: Subscription, nonce: str, manifest: Manifest, oldest: int, detail: Status) -> Rejection:
    """Remember what the client refused, and say it."""
    subscription.rejected_from = min(subscription.rejected_from, oldest)
    if not (subscription.full or manifest.restored):
        subscription.park(record for record in manifest.changed if _current(subscription, record))
        subscription.undone.update(dict.fromkeys(manifest.removed))
    text = _text(detail.message, redact=subscription.policy.redact_nack)
    blamed = _blamed(text, manifest.changed)
    subscription.rejection = Rejection(
        type_url=subscription.type_url,
        nonce=nonce,
        version=manifest.version,
        names=tuple(record.name for record in blamed) or manifest.removed,
        code=detail.code,
        message=text,
        sources=tuple(dict.fromkeys(record.source for record in blamed if record.source)),
    )
    return subscription.rejection


def _current(subscription: Subscription, record: Record) -> bool:
    """Whether the view still has that version: of a late rejection, only this is worth remembering."""
    now = subscription.shelf.records.get(record.name)
    return now is None or now.version == record.version


def stale(subscription: Subscription, nonce: str, detail: Status) -> Rejection:
    """A rejection of something that is not in flight: told, and without effect (100)."""
    text = _text(detail.message, redact=subscription.policy.redact_nack)
    return Rejection(subscription.type_url, nonce, "", (), detail.code, text)


def _text(message: str, *, redact: bool) -> str:
    if not redact:
        return message[:ERROR_DETAIL_CHARS_MAX]
    return next((words for words in SAFE_BEGINNINGS if message.startswith(words)), WITHHELD)


def _blamed(text: str, records: tuple[Record, ...]) -> tuple[Record, ...]:
    """The records that the client's sentence names; if it names none, all."""
    words = {word.strip(_PUNCTUATION) for word in text.split()}
    return tuple(record for record in records if record.name in words) or records
