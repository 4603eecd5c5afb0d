"""What a view holds of one type: the records, who is interested in which, and what changed in which order."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING, Final

from xds.engine.events import Reply
from xds.engine.log import Log
from xds.engine.record import DIGEST_BYTES, Record
from xds.engine.types import policy_of

if TYPE_CHECKING:
    from xds.engine.session import Session

REPLIES_MAX: Final = 256
REPLIES_BYTES_MAX: Final = 16 * 1024 * 1024
"""Shared replies kept until the next change; streams in more different states than this share nothing anyway."""

_MODULUS: Final = 1 << 8 * DIGEST_BYTES


class Shelf:
    """One type of one view. Written by its view, read by sessions.

    A wildcard stream needs no entry per resource: it holds a position in `changes` and one in `removals`. A stream that
    named its resources is found through `index`. So a change costs as much as it has subscribers.
    """

    __slots__ = (
        "changed_commit",
        "changes",
        "commit",
        "digest",
        "gone",
        "index",
        "policy",
        "readers",
        "records",
        "removals",
        "replies",
        "replies_bytes",
        "serials",
        "type_url",
        "version",
        "wildcards",
    )

    def __init__(self, type_url: str, serials: Iterator[int]) -> None:
        self.type_url = type_url
        self.policy = policy_of(type_url)
        self.records: dict[str, Record] = {}
        self.readers = 0
        """Number of subscriptions, empty ones included."""
        self.digest = 0
        self.version = version_text(0)
        self.commit = 0
        """Last commit that touched this type."""
        self.changed_commit = 0
        """Last commit that added or changed a resource."""
        self.changes: Log[str] = Log()
        self.removals: Log[Record] = Log()
        self.gone: dict[str, Record] = {}
        """The last record of each name that `removals` still holds and that does not exist now."""
        self.wildcards: dict[Session, None] = {}
        self.index: dict[str, dict[Session, None]] = {}
        self.replies: dict[Hashable, Reply] = {}
        self.replies_bytes = 0
        self.serials = serials

    @property
    def idle(self) -> bool:
        """True if nothing is lost by forgetting this shelf."""
        return not (self.records or self.readers)

    @property
    def version_given(self) -> bool:
        """Whether the version was given from outside."""
        return self.version != version_text(self.digest)

    def put(self, record: Record, commit: int, due: dict[Session, None]) -> bool:
        """Add or change a resource, and collect the sessions concerned. False if it is there already."""
        name = record.name
        old = self.records.get(name)
        if old is not None:
            if old.version == record.version:
                return False
            self.digest -= old.digest
        self.records[name] = record
        self.gone.pop(name, None)
        self.digest = (self.digest + record.digest) % _MODULUS
        self.commit = self.changed_commit = commit
        if self.wildcards:
            self.changes.append(name, commit)
        for session in self.index.get(name, ()):
            session.changed(self.type_url, name, commit)
            due[session] = None
        return True

    def remove(self, name: str, commit: int, due: dict[Session, None]) -> bool:
        """Remove a resource, and collect the sessions concerned. False if there is none of that name."""
        record = self.records.pop(name, None)
        if record is None:
            return False
        self.digest = (self.digest - record.digest) % _MODULUS
        self.commit = commit
        if self.wildcards:
            self.removals.append(record, commit)
            self.gone[name] = record
        for session in self.index.get(name, ()):
            session.removed(self.type_url, record, commit)
            due[session] = None
        return True

    def touched(self, due: dict[Session, None]) -> None:
        """End of a commit that changed something here."""
        self.version = version_text(self.digest)
        self.replies.clear()
        self.replies_bytes = 0
        due.update(self.wildcards)
        if len(self.changes.items) >= self.changes.trim_at or len(self.removals.items) >= self.removals.trim_at:
            self.trim()

    def trim(self) -> None:
        """Forget what every wildcard stream has been sent."""
        cursors = [session.cursors(self.type_url) for session in self.wildcards]
        self.changes.trim(min((change for change, _ in cursors), default=self.changes.head))
        cursor = min((removal for _, removal in cursors), default=self.removals.head)
        dropped = self.removals.since(self.removals.base, cursor)
        self.removals.trim(cursor)
        for record in dropped:
            if self.gone.get(record.name) is record:
                del self.gone[record.name]

    def join(self, session: Session) -> None:
        """A session reads everything."""
        self.wildcards[session] = None

    def leave(self, session: Session) -> None:
        """A session does not read everything any more."""
        if self.wildcards.pop(session, self) is None and not self.wildcards:
            self.trim()

    def watch(self, session: Session, name: str) -> None:
        """A session is interested in a name, whether it exists or not."""
        self.index.setdefault(name, {})[session] = None

    def unwatch(self, session: Session, name: str) -> None:
        """A session is not interested in a name any more."""
        sessions = self.index[name]
        del sessions[session]
        if not sessions:
            del self.index[name]

    def since(self, cursor: int, upto: int | None = None) -> list[Record]:
        """Records changed in that part of the log, each once, without names that are gone."""
        records = self.records
        return [records[name] for name in dict.fromkeys(self.changes.since(cursor, upto)) if name in records]

    def lost(self, cursor: int, upto: int | None = None) -> list[Record]:
        """Records removed in that part of the log, without names that exist again or were removed once more later."""
        gone = self.gone
        return [record for record in self.removals.since(cursor, upto) if gone.get(record.name) is record]

    def shared(self, key: Hashable, after: int) -> Reply | None:
        """The reply that another stream in the same state got, if there was one.

        `after` is the serial of this stream's last reply: a nonce is never used twice on a stream (8), so a stream that
        had this very reply before gets a new one.
        """
        reply = self.replies.get(key)
        return reply if reply is not None and reply.serial > after else None

    def share(self, key: Hashable, reply: Reply) -> Reply:
        """Keep a reply for other streams in the same state."""
        self.replies_bytes += len(reply.body)
        if len(self.replies) >= REPLIES_MAX or self.replies_bytes > REPLIES_BYTES_MAX:
            self.replies.clear()
            self.replies_bytes = len(reply.body)
        self.replies[key] = reply
        return reply

    def version_with(self, retained: list[Record]) -> str:
        """The version of the records together with some that are removed but not yet withdrawn from a client."""
        if not retained or self.version_given:
            return self.version
        return version_text((self.digest + sum(record.digest for record in retained)) % _MODULUS)


def version_text(digest: int) -> str:
    """How the version of a type is written."""
    return f"{digest:0{2 * DIGEST_BYTES}x}"
