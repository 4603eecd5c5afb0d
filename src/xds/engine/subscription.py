"""What one stream asked for of one type, what it is owed, and what it confirmed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from xds.engine.events import Manifest, Rejection, Reply, TypeStatus
from xds.engine.ordering import NEVER, WAITS_FOR, rank
from xds.engine.record import Record
from xds.engine.shelf import Shelf

NO_NAMES: Final[frozenset[str]] = frozenset()
"""One for all: an empty frozenset takes 216 bytes."""


class Late(NamedTuple):
    """A response that was overtaken before it was answered."""

    nonce: str
    manifest: Manifest
    oldest: int
    """The oldest commit of which it brought something."""


class Subscription:
    """State only, and questions about it; decisions are in `sotw`, `delta` and `gate`.

    What is owed: a wildcard subscription owes the part of the shelf's logs behind its cursors. Everything else is
    written down per name, only while it is owed: `asked` (answer at once, whatever the gate says), `dirty` (changed,
    may have to wait for other types), `lost` (removed, waits for other types), `restore` (secrets to be put back).
    """

    __slots__ = (
        "acked",
        "acked_version",
        "asked",
        "cursor",
        "dirty",
        "doubted",
        "flight",
        "flight_commit",
        "flight_lost",
        "flight_oldest",
        "full",
        "gated",
        "initial",
        "last_serial",
        "late",
        "lost",
        "names",
        "nonce",
        "overdue",
        "parked",
        "parked_version",
        "policy",
        "rank",
        "raw",
        "rejected_from",
        "rejection",
        "removal_cursor",
        "reports_removals",
        "restore",
        "sent_version",
        "shelf",
        "type_url",
        "undone",
        "wildcard",
    )

    def __init__(self, shelf: Shelf, *, delta: bool) -> None:
        self.shelf = shelf
        shelf.readers += 1
        self.type_url = shelf.type_url
        self.policy = shelf.policy
        self.rank = rank(shelf.type_url)
        self.gated = shelf.type_url in WAITS_FOR
        self.full = shelf.policy.full_state and not delta
        self.reports_removals = self.full or (delta and shelf.policy.answer_missing)
        # What the client asked for.
        self.wildcard = False
        self.names: dict[str, None] = {}
        """Explicit names, in the order of asking."""
        self.raw: list[str] = []
        """`resource_names` of the last SotW request, to see at a glance that nothing changed."""
        # What it is owed.
        self.initial = False
        """The first answer to a wildcard, or to names of which a reconnecting client may hold some that are gone."""
        self.cursor = 0
        self.removal_cursor = 0
        self.asked: dict[str, int] = {}
        self.dirty: dict[str, int] = {}
        self.lost: dict[str, tuple[Record, int]] = {}
        self.restore: dict[str, Record] = {}
        # What is under way.
        self.flight: Manifest | None = None
        self.nonce = ""
        self.flight_commit = 0
        self.flight_oldest = NEVER
        """The oldest commit of which the response in flight brings a change."""
        self.flight_lost = NEVER
        """The oldest commit of which it brings a removal."""
        self.overdue = False
        """The response in flight has been unanswered for so long that it holds up nothing any more."""
        self.last_serial = 0
        self.late: Late | None = None
        """The response before, if it went unanswered: its answer may still come."""
        # What the client confirmed or refused.
        self.sent_version = ""
        self.acked_version = ""
        self.acked: dict[str, Record] = {}
        """Last acknowledged record by name, where a rejection has to be undone with it."""
        self.parked: dict[str, str] = {}
        """Name -> version that the client rejected: not sent again."""
        self.parked_version = ""
        """The same for a full-state type."""
        self.undone: dict[str, None] = {}
        """Names whose removal stood in a rejected response."""
        self.rejected_from = NEVER
        """Oldest commit that the client refused and has not accepted since in a later form."""
        self.rejection: Rejection | None = None
        self.doubted: frozenset[str] = NO_NAMES
        """Names that the client, on an earlier stream, rejected: what it says it holds is not believed (52)."""

    # ----- questions

    @property
    def subscribed(self) -> bool:
        """False once the client asked for nothing."""
        return self.wildcard or bool(self.names)

    def covers(self, name: str) -> bool:
        """Whether the client wants that name."""
        return self.wildcard or name in self.names

    def due(self) -> bool:
        """Whether anything is owed, sendable now or not."""
        if self.wildcard and (
            self.cursor != self.shelf.changes.head
            or (self.reports_removals and self.removal_cursor != self.shelf.removals.head)
        ):
            return True
        return self.initial or bool(self.asked or self.dirty or self.lost or self.restore)

    def removing(self) -> bool:
        """Whether a removal is owed."""
        return bool(self.lost) or (
            self.wildcard and self.reports_removals and self.removal_cursor != self.shelf.removals.head
        )

    def plain(self) -> bool:
        """Whether what is owed follows from the cursors alone, so that all streams with equal cursors share it."""
        return (
            self.wildcard
            and not (self.asked or self.dirty or self.lost or self.restore or self.parked or self.undone)
            and not self.policy.one_per_response
        )

    def oldest_change(self) -> int:
        """Commit of the oldest change that is owed and may have to wait."""
        oldest = min(self.dirty.values()) if self.dirty else NEVER
        if self.wildcard and self.cursor != self.shelf.changes.head:
            oldest = min(oldest, self.shelf.changes.commit_at(self.cursor))
        return oldest

    def oldest_unsent(self) -> int:
        """Commit of the oldest resource that is owed; 0 before the first answer."""
        if self.initial:
            return 0
        asked = min(self.asked.values(), default=NEVER)
        return min(asked, self.oldest_change())

    def oldest_removal(self) -> int:
        """Commit of the oldest removal that is owed."""
        oldest = min(commit for _, commit in self.lost.values()) if self.lost else NEVER
        if self.wildcard and self.reports_removals and self.removal_cursor != self.shelf.removals.head:
            oldest = min(oldest, self.shelf.removals.commit_at(self.removal_cursor))
        return oldest

    def passes(self, *, changes: bool, removals_before: int) -> bool:
        """Whether something that is owed may be sent now."""
        return (
            self.initial
            or bool(self.asked or self.restore)
            or (changes and self.oldest_change() != NEVER)
            or self.oldest_removal() < removals_before
        )

    def unsettled(self) -> int:
        """The oldest commit of which a change is not sent or not answered."""
        return min(self.flight_oldest, self.oldest_unsent())

    def unsettled_removal(self) -> int:
        """The same, with removals."""
        return min(self.flight_lost, self.oldest_removal(), self.unsettled())

    # ----- changes of what is owed

    def drain(self) -> None:
        """Write down by name what the cursors owe."""
        shelf = self.shelf
        if self.cursor != shelf.changes.head:
            for name, commit in shelf.changes.entries(self.cursor):
                if name in shelf.records:
                    self.dirty.setdefault(name, commit)
            self.cursor = shelf.changes.head
        if self.reports_removals and self.removal_cursor != shelf.removals.head:
            for record, commit in shelf.removals.entries(self.removal_cursor):
                if shelf.gone.get(record.name) is record:
                    self.lost[record.name] = (record, commit)
                    self.parked.pop(record.name, None)
        self.removal_cursor = shelf.removals.head

    def changed(self, name: str, commit: int) -> None:
        """A name that is subscribed explicitly was added or changed."""
        self.dirty.setdefault(name, commit)
        self.lost.pop(name, None)

    def removed(self, record: Record, commit: int) -> None:
        """A name that is subscribed explicitly was removed."""
        self.dirty.pop(record.name, None)
        if self.parked.pop(record.name, None) is not None:
            self.reconcile()
        if self.reports_removals:
            self.lost[record.name] = (record, commit)

    def reconcile(self) -> None:
        """What was rejected may be gone, or not wanted any more: then there is nothing left to tell of it."""
        if not (self.parked or self.parked_version or self.undone):
            self.rejection = None
            self.rejected_from = NEVER

    def forget(self, name: str) -> None:
        """The client does not want that name any more."""
        for table in (self.asked, self.dirty, self.lost, self.restore, self.parked, self.undone, self.acked):
            table.pop(name, None)
        self.reconcile()

    def everything(self) -> None:
        """The client wants whatever there is."""
        self.wildcard = self.initial = True
        self.cursor = self.shelf.changes.head
        self.removal_cursor = self.shelf.removals.head
        self.dirty.clear()
        if self.flight is not None and self.reports_removals and not self.full:
            # The client will keep what is under way to it; the answer to its new wish does not speak of what is gone.
            for record in self.flight.changed:
                if record.name not in self.shelf.records:
                    self.lost.setdefault(record.name, (record, self.shelf.commit))

    def only_names(self) -> None:
        """The client does not want everything any more."""
        self.drain()
        self.wildcard = self.initial = False
        for table in (self.asked, self.dirty, self.lost, self.restore, self.parked, self.undone, self.acked):
            for name in [name for name in table if name not in self.names]:
                del table[name]

    def caught_up(self) -> None:
        """Everything that exists has just been sent."""
        self.initial = False
        self.asked.clear()
        self.dirty.clear()
        self.cursor = self.shelf.changes.head

    def close(self) -> None:
        """The stream has ended."""
        self.shelf.readers -= 1

    # ----- responses and answers

    def launched(self, reply: Reply, oldest: int, lost: int) -> None:
        """A response is on its way."""
        if self.flight is not None:
            self.late = Late(self.nonce, self.flight, min(self.flight_oldest, self.flight_lost))
            self._overtaken(self.flight)
        self.flight = reply.manifest
        self.nonce = reply.nonce
        self.last_serial = reply.serial
        self.flight_commit = reply.commit
        self.flight_oldest = oldest
        self.flight_lost = lost
        self.overdue = False
        self.sent_version = reply.manifest.version

    def _overtaken(self, manifest: Manifest) -> None:
        """A response will not be answered. The client may have it, so what was rejected before it may be sent again."""
        self.parked_version = ""
        for record in manifest.changed:
            self.parked.pop(record.name, None)

    def landed(self) -> None:
        """The response in flight is answered, or will never be."""
        self.flight = None
        self.flight_oldest = self.flight_lost = NEVER
        self.overdue = False

    def park(self, records: Iterable[Record]) -> None:
        """These versions were rejected."""
        for record in records:
            if self.covers(record.name):
                self.parked[record.name] = record.version

    def status(self, commit: int) -> TypeStatus:
        """What operators are told; `commit` is the view's."""
        sent = min(self.oldest_unsent(), self.oldest_removal())
        acked = min(self.unsettled_removal(), self.rejected_from)
        return TypeStatus(
            type_url=self.type_url,
            wildcard=self.wildcard,
            names=len(self.names),
            sent_version=self.sent_version,
            acked_version=self.acked_version,
            sent_commit=commit if sent == NEVER else max(0, sent - 1),
            acked_commit=commit if acked == NEVER else max(0, acked - 1),
            in_flight=self.flight is not None,
            parked=tuple(self.parked),
            rejection=self.rejection,
        )
