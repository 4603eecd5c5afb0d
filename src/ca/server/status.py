"""What an operator may know, as JSON: never a key, never a client's own words about a secret."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from ca.server.entries import EntryBook
from ca.server.fleet import Fleet
from ca.server.own import OwnCertificates
from ca.server.upkeep import Upkeep
from ca.svid.node import Node, Withdrawn
from ca.svid.sds import SecretHost
from ca.svid.secrets import DEFAULT
from ca.svid.slot import Slot
from ca.svid.trust import Trust
from xds.errors import LegationError

Json = dict[str, Any]

GRANTED_SHOWN_MAX: Final = 16
"""Names that a node may have, beside those it asks for in vain: enough to see what it should have asked for."""


class Overview:
    """Everything that the admin API and the metrics are made of."""

    def __init__(
        self,
        *,
        trust: Trust,
        fleet: Fleet,
        host: SecretHost,
        own: OwnCertificates,
        upkeep: Upkeep,
        book: EntryBook,
    ) -> None:
        self.trust = trust
        self.fleet = fleet
        self.host = host
        self.own = own
        self.upkeep = upkeep
        self.book = book
        self.listening = False
        self.draining = False

    def reason(self) -> str | None:
        """Why the process is not ready; None if it is."""
        if self.draining:
            return "draining: this process is ending"
        if not self.listening:
            return "not ready: the listener is being opened"
        if not self.book.loaded:
            return f"not ready: there was no good state of the entries yet: {self.book.error}"
        return None

    def status(self) -> Json:
        """The answer to /v1/status."""
        state = self.upkeep.signer_state
        return {
            "process": "ca",
            "trust_domain": self.trust.trust_domain,
            "ready": self.reason() is None,
            "signer": {"error": self.upkeep.signer_error, "issued": state.issued if state is not None else None},
            "bundle": bundle_json(self.trust),
            "kek_source": state.kek_source if state is not None else None,
            "own_error": self.own.error,
            "streams": [stream_json(self.host, stream) for stream in self.host.streams],
            "certificates": [row for node in self.fleet.nodes.values() for row in self._certificates(node)],
            "denied": [row for node in self.fleet.nodes.values() if (row := denied_json(node)) is not None],
            "entries": self._entries(),
        }

    def _entries(self) -> Json:
        return {"count": len(self.book.entries), "error": self.book.error, "path": self.book.path}

    def _certificates(self, node: Node) -> Iterator[Json]:
        for place, entry in enumerate(node.entries):
            slot = self.fleet.slot(node, entry.spiffe_id)
            if slot is not None:
                name = DEFAULT if place == 0 else str(entry.spiffe_id)
                yield {"node": node.name, "name": name, "spiffe_id": str(entry.spiffe_id)} | certificate_json(
                    node, name, slot
                )
        yield from (withdrawn_json(node, gone) for gone in node.withdrawn)


def certificate_json(node: Node, name: str, slot: Slot) -> Json:
    """One certificate: what we issued, and what the node confirmed."""
    holder = node.holders.get(slot.order.spiffe_id)
    names = (name, str(slot.order.spiffe_id))
    acked = next((version for each in names if (version := node.acked(each)) is not None), None)
    rejection = next((found for each in names if (found := node.last_rejection(each)) is not None), None)
    return {
        "serial": holder.serial if holder else None,
        "issued_at": shown_time(holder.life.issued_at_s) if holder else None,
        "not_after": shown_time(holder.life.not_after_s) if holder else None,
        "rotate_at": shown_time(slot.attempt_at_s),
        "truncated": holder.truncated if holder else False,
        "acked": holder is not None and acked == holder.fingerprint,
        "acked_serial": node.serial_of(acked) if acked is not None else None,
        "rotations": max(0, slot.issued_count - 1),
        "paused": slot.paused,
        "error": slot.error or None,
        "last_rejection": {"code": rejection.code, "message": rejection.message} if rejection is not None else None,
        "withdrawn": False,
    }


def withdrawn_json(node: Node, gone: Withdrawn) -> Json:
    """A certificate whose entry is gone, in the same form: it is not renewed, and it serves until it ends."""
    acked = node.acked(gone.name)
    return {
        "node": node.name,
        "name": gone.name,
        "spiffe_id": str(gone.spiffe_id),
        "serial": gone.serial,
        "issued_at": shown_time(gone.issued_at_s),
        "not_after": shown_time(gone.not_after_s),
        "rotate_at": None,
        "truncated": False,
        "acked": acked == gone.fingerprint,
        "acked_serial": node.serial_of(acked) if acked is not None else None,
        "rotations": 0,
        "paused": False,
        "error": None,
        "last_rejection": None,
        "withdrawn": True,
    }


def denied_json(node: Node) -> Json | None:
    """What a node asks for in vain, beside what it may have; None where it gets all."""
    names = node.denied()
    if not names:
        return None
    return {"node": node.name, "names": names, "granted": node.granted()[:GRANTED_SHOWN_MAX]}


def bundle_json(trust: Trust) -> Json | None:
    """The roots that we publish."""
    try:
        bundle = trust.bundle
    except LegationError:
        return None
    roots = [
        {
            "serial": f"{root.serial_number:x}",
            "not_before": shown_time(root.not_valid_before_utc.timestamp()),
            "not_after": shown_time(root.not_valid_after_utc.timestamp()),
        }
        for root in bundle.roots
    ]
    return {"sequence": bundle.sequence, "roots": roots}


def stream_json(host: SecretHost, stream: Any) -> Json:
    """One open stream."""
    node = host.streams[stream]
    return {
        "node": node.name,
        "spiffe_id": str(stream.peer.spiffe_id),
        "address": stream.peer.address,
        "method": stream.method.method,
        "names": node.names_of(stream.session),
    }


def shown_time(seconds: float) -> str | None:
    """An instant in UTC, RFC 3339 with milliseconds; None for never."""
    if seconds in {float("inf"), float("-inf")}:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
