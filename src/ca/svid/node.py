"""What one node may have, what it has, and what it confirmed.

Its streams see its view and nothing else: a capability, not a filter. Only what an entry grants at that moment is ever
put into the view, so an entitlement is looked at before each push (identity 65). What is taken away is taken out of the
view and nothing is pushed, because Envoy ignores it or takes it for an answer (identity 99).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from ca.identity.entries import Entry
from ca.svid.holder import Holder
from ca.svid.secrets import DEFAULT, ROOTCA, svid_record
from xds.engine.record import Record
from xds.engine.session import Session
from xds.engine.view import View
from xds.names import SECRET, SpiffeId

WANTED_MAX: Final = 64
"""Names asked for that a node may not have: so many are remembered, of each node."""

SERIALS_MAX: Final = 256
"""Fingerprints of which the serial is remembered, of each node, to tell what a client still holds."""


WITHDRAWN_MAX: Final = 64
"""Certificates of entries that are gone: so many are remembered, of each node."""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A certificate that no entry grants any more. Nobody took it out of its Envoy's hands: it serves until it ends."""

    name: str
    spiffe_id: SpiffeId
    serial: str
    fingerprint: str
    issued_at_s: float
    not_after_s: float


@dataclass(frozen=True, slots=True)
class Refused:
    """A client's rejection, fit to be shown: of a Secret never the client's own text (facts A3)."""

    names: tuple[str, ...]
    code: int
    message: str


class Node:
    """One node. It does not wake streams; it returns the sessions that have something due."""

    __slots__ = (
        "_acked",
        "_default",
        "_doubts",
        "_holders",
        "_rejections",
        "_serials",
        "_wanted",
        "_withdrawn",
        "entries",
        "name",
        "streams",
        "view",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.view = View(name)
        self.entries: tuple[Entry, ...] = ()
        self.streams = 0
        self._holders: dict[SpiffeId, Holder] = {}
        self._default: SpiffeId | None = None
        self._acked: dict[str, str] = {}
        self._doubts: frozenset[tuple[str, str]] = frozenset()
        self._rejections: dict[str, Refused] = {}
        self._wanted: set[str] = set()
        self._serials: dict[str, str] = {}
        self._withdrawn: dict[SpiffeId, Withdrawn] = {}

    @property
    def holders(self) -> dict[SpiffeId, Holder]:
        """The certificates at hand; not to be changed."""
        return self._holders

    def entitle(self, entries: tuple[Entry, ...]) -> list[Session]:
        """From now on these entries count. What they do not grant leaves the view."""
        first = self.entries[0].spiffe_id if self.entries else None
        self.entries = entries
        granted = {entry.spiffe_id for entry in entries}
        lost = [spiffe_id for spiffe_id in self._holders if spiffe_id not in granted]
        for spiffe_id in lost:
            self._withdraw(DEFAULT if spiffe_id == first else str(spiffe_id), self._holders.pop(spiffe_id))
        return self.view.apply(self._default_records(), self._removals(lost))

    def deliver(self, spiffe_id: SpiffeId, holder: Holder) -> list[Session]:
        """A certificate is there. One that no entry grants (any more) goes nowhere."""
        if all(entry.spiffe_id != spiffe_id for entry in self.entries):
            return []
        self._holders[spiffe_id] = holder
        self._withdrawn.pop(spiffe_id, None)
        self._serials[holder.fingerprint] = holder.serial
        if len(self._serials) > SERIALS_MAX:
            del self._serials[next(iter(self._serials))]
        return self.view.apply([svid_record(str(spiffe_id), holder), *self._default_records()], ())

    def end(self, spiffe_id: SpiffeId) -> None:
        """A certificate has ended; better none than one that every peer refuses."""
        if self._holders.pop(spiffe_id, None) is not None:
            self.view.apply((), self._removals([spiffe_id]))

    @property
    def withdrawn(self) -> Collection[Withdrawn]:
        """Certificates that its Envoy may still use although no entry grants them."""
        return self._withdrawn.values()

    def forget_ended(self, now_s: float) -> None:
        """Withdrawn certificates that have ended are nobody's business any more."""
        for gone in [gone for gone in self._withdrawn.values() if gone.not_after_s <= now_s]:
            del self._withdrawn[gone.spiffe_id]

    def trust(self, bundle: Record) -> list[Session]:
        """Put the bundle into the view."""
        return self.view.apply([bundle], ())

    @property
    def doubts(self) -> frozenset[tuple[str, str]]:
        """What this node's Envoy rejected on an earlier stream and may hold, whatever it reports (facts A2)."""
        return self._doubts

    def rejected(self, refused: Refused) -> None:
        """A client rejected secrets."""
        for name in refused.names:
            self._rejections[name] = refused

    def last_rejection(self, name: str) -> Refused | None:
        """The last one of that name, unless its newest version was acknowledged since."""
        record = self.view.get(SECRET, name)
        accepted = record is not None and self.acked(name) == record.version
        return None if accepted else self._rejections.get(name)

    def remember(self, session: Session) -> None:
        """A stream ends: keep what it confirmed, and what it rejected."""
        doubts = session.doubts()
        for name, sessions in self.view.shelf(SECRET).index.items():
            if session not in sessions:
                continue
            if (version := session.acked_version(SECRET, name)) is not None:
                self._acked[name] = version
            doubt = (SECRET, name)
            self._doubts = self._doubts | {doubt} if doubt in doubts else self._doubts - {doubt}

    def acked(self, name: str) -> str | None:
        """The version of a secret acknowledged last: by every open stream that has it, else by the last one closed."""
        versions = {session.acked_version(SECRET, name) for session in self.view.sessions} - {None}
        record = self.view.get(SECRET, name)
        behind = versions - {record.version if record else None}
        return min(behind or versions, key=str) if versions else self._acked.get(name)

    def serial_of(self, version: str) -> str | None:
        """The serial of the certificate with that fingerprint, if it was delivered not too long ago."""
        return self._serials.get(version)

    def asked(self) -> frozenset[str]:
        """All names that open streams ask for."""
        return frozenset(self.view.shelf(SECRET).index)

    def names_of(self, session: Session) -> list[str]:
        """The names that one of its streams asks for."""
        return sorted(name for name, sessions in self.view.shelf(SECRET).index.items() if session in sessions)

    def granted(self) -> list[str]:
        """The names of all that it may have."""
        own = [DEFAULT] if self.entries else []
        return [ROOTCA, *own, *(str(entry.spiffe_id) for entry in self.entries)]

    def denied(self) -> list[str]:
        """Names that open streams ask for in vain; not all, if they are many."""
        return sorted(self.asked().difference(self.granted()))[:WANTED_MAX]

    def take_denied(self) -> list[str]:
        """Names asked for since the last call that this node may not have; each is told once."""
        unknown = self.asked().difference(self.granted(), self._wanted)
        news = sorted(unknown)[: WANTED_MAX - len(self._wanted)]
        self._wanted.update(news)
        return news

    def _withdraw(self, name: str, holder: Holder) -> None:
        life = holder.life
        gone = Withdrawn(name, holder.spiffe_id, holder.serial, holder.fingerprint, life.issued_at_s, life.not_after_s)
        self._withdrawn[gone.spiffe_id] = gone
        if len(self._withdrawn) > WITHDRAWN_MAX:
            del self._withdrawn[next(iter(self._withdrawn))]

    def _default_records(self) -> Iterable[Record]:
        """`default` is the first entry's; it changes hands when the new one is there, or the old one not granted."""
        first = self.entries[0].spiffe_id if self.entries else None
        if first in self._holders:
            self._default = first
        return [] if self._default not in self._holders else [svid_record(DEFAULT, self._holders[self._default])]

    def _removals(self, lost: Iterable[SpiffeId]) -> list[tuple[str, str]]:
        names = [str(spiffe_id) for spiffe_id in lost]
        if self._default not in self._holders:
            names.append(DEFAULT)
        return [(SECRET, name) for name in names]
