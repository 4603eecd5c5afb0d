"""One stream of a client: requests in, responses out, every decision in between.

Theory of operation
-------------------
A session answers two questions. `on_request`: what does this request mean? `next_reply`: what is due now?

*A request plays two roles that have nothing to do with each other.* It may answer the response in flight, if it carries
that response's nonce: with `error_detail` it rejects it, without it acknowledges it (76). And it may change what the
client is subscribed to; that counts whatever the nonce says, also in a rejection (28, 47, 48). So `on_request` puts
both questions to each request, one after the other, and neither looks at the other's answer.

*What is due is never queued.* A subscription knows what it owes (cursors into the view's logs, or names), and a
response is made of the view's latest records at the moment of sending. While a response is in flight nothing more of
that type is sent; what changes meanwhile merges into the next one (59). So a slow client costs a few integers, and ends
with the last version.

*Sharing.* Streams with equal cursors, or owing the same names, get the identical `Reply` (`Shelf.shared`).

*Order.* `next_reply` walks the types in `ordering.ORDER`, and `gate.window` says whether changes and removals may pass.
What the client has asked for is answered at once; only changes wait. When something waits for an acknowledgement,
`held` is the oldest commit concerned; the edge then starts a timer and calls `release` with it, for there are clients
that never acknowledge (75). A release also ends the wait for the response in flight: an Envoy whose clusters cannot
warm withholds its acknowledgement and yet applies the next response (facts 10), which may be the cure.

*After a rejection* the rejected versions are parked: not sent again until they change (77). See `answers`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from xds.engine import answers, by_name, full_state, wishes
from xds.engine.events import DeltaRequest, Manifest, Rejection, Reply, SotwRequest, TypeStatus
from xds.engine.gate import OPEN, Released, Window, window, withheld
from xds.engine.ordering import FOLLOWED_BY, NEVER
from xds.engine.reconnect import trust_delta, trust_sotw
from xds.engine.record import Record
from xds.engine.subscription import Subscription
from xds.engine.view import View
from xds.errors import Fault, PeerError
from xds.limits import NAME_BYTES_MAX, NAMES_MAX
from xds.names import CLUSTER, ENDPOINT, SHORT

TYPES_MAX: Final = 64
"""Types on one stream: Envoy's API has about a dozen."""


class Session:
    """One stream, never shared. All calls are synchronous and belong to one thread."""

    __slots__ = (
        "_allowed",
        "_default_type",
        "_delta",
        "_doubts",
        "_followers",
        "_held_changes",
        "_ordered",
        "_quiet",
        "_released",
        "_subscriptions",
        "closed",
        "held",
        "identifier",
        "owner",
        "rejections",
        "view",
    )

    def __init__(
        self,
        view: View,
        *,
        delta: bool,
        allowed: frozenset[str] | None,
        identifier: str = "",
        doubts: Collection[tuple[str, str]] = (),
    ) -> None:
        """`doubts`: what `doubts()` of this client's previous stream returned; for these its word is not taken."""
        self.view = view
        self.identifier = identifier
        self.owner: Any = None
        """Free for whoever drives the session."""
        self.held: int | None = None
        """The oldest commit that waits for acknowledgements, valid once `next_reply` has returned None."""
        self.rejections: list[Rejection] = []
        self.closed = False
        self._delta = delta
        self._allowed = allowed
        self._default_type = next(iter(allowed)) if allowed is not None and len(allowed) == 1 else ""
        self._subscriptions: dict[str, Subscription] = {}
        self._ordered: list[Subscription] = []
        self._released = Released()
        self._held_changes = NEVER
        self._quiet = -1
        """The view's commit at which nothing at all was due, and nothing has happened since."""
        self._followers: set[str] | None = None
        """Endpoints of clusters sent to a reconnecting client before it spoke of endpoints (52)."""
        self._doubts: Collection[tuple[str, str]] = frozenset(doubts) if doubts else ()
        view.attach(self)

    def __repr__(self) -> str:
        return f"Session({self.view.name!r} {'delta' if self._delta else 'sotw'} types={len(self._subscriptions)})"

    # ----- from the client

    def on_request(self, request: SotwRequest | DeltaRequest) -> Reply | None:
        """Take a request, and return what is due now, if anything. Raises `PeerError`: the stream is to end."""
        type_url = request.type_url or self._default_type
        subscription = self._subscriptions.get(type_url)
        if subscription is None:
            if self.closed:
                return None
            self._first(type_url, request)
            return self.next_reply()
        # The acknowledging role. Only the nonce of the response in flight counts; any other is stale (28, 49).
        answered = subscription.flight if request.response_nonce == subscription.nonce else None
        if request.HasField("error_detail"):
            self._rejected(subscription, answered, request)
        elif answered is not None and answers.accept(subscription, answered):
            self._quiet = -1
        # The subscribing role.
        if self._delta:
            if request.resource_names_subscribe or request.resource_names_unsubscribe:  # type: ignore[union-attr]
                self._wished(subscription, wishes.of_delta(subscription, request, first=False))  # type: ignore[arg-type]
        elif request.resource_names != subscription.raw:  # type: ignore[union-attr]
            subscription.raw = list(request.resource_names)  # type: ignore[union-attr]
            self._wished(subscription, wishes.of_sotw(subscription, subscription.raw, first=False))
        return self.next_reply()

    def _first(self, type_url: str, request: SotwRequest | DeltaRequest) -> None:
        """The first request of a type. A nonce in it is from an earlier stream and says nothing (7)."""
        if self._allowed is not None and type_url not in self._allowed:
            raise PeerError(Fault.INVALID, f"this stream does not serve {type_url or 'requests without a type_url'}")
        if not type_url:
            raise PeerError(Fault.INVALID, "a request without a type_url")
        if len(self._subscriptions) >= TYPES_MAX:
            raise PeerError(Fault.EXHAUSTED, f"more than {TYPES_MAX} types on one stream")
        subscription = Subscription(self.view.shelf(type_url), delta=self._delta)
        if self._doubts:
            subscription.doubted = frozenset(name for doubted, name in self._doubts if doubted == type_url)
        self._subscriptions[subscription.type_url] = subscription  # the shelf's string, not this request's copy
        self._ordered = sorted(self._subscriptions.values(), key=lambda each: each.rank)
        if self._delta:
            self._wished(subscription, wishes.of_delta(subscription, request, first=True))  # type: ignore[arg-type]
            self._trust(subscription, request.initial_resource_versions)  # type: ignore[union-attr]
        else:
            subscription.raw = list(request.resource_names)  # type: ignore[union-attr]
            self._wished(subscription, wishes.of_sotw(subscription, subscription.raw, first=True))
            trust_sotw(subscription, request.version_info)  # type: ignore[union-attr]

    def _trust(self, subscription: Subscription, versions: Any) -> None:
        """What a reconnecting client says it holds, which spares sending that again."""
        follow: Collection[str] = ()
        if subscription.type_url == CLUSTER and versions and (self._allowed is None or ENDPOINT in self._allowed):
            self._followers = set()
        elif subscription.type_url == ENDPOINT:
            follow, self._followers = self._followers or (), None
        if versions:
            trust_delta(subscription, versions, follow, self.view.commit)

    def _rejected(
        self, subscription: Subscription, answered: Manifest | None, request: SotwRequest | DeltaRequest
    ) -> None:
        if answered is None and subscription.late is not None and subscription.late.nonce == request.response_nonce:
            self.rejections.append(answers.reject_late(subscription, subscription.late, request.error_detail))
        elif answered is None:
            self.rejections.append(answers.stale(subscription, request.response_nonce, request.error_detail))
        else:
            self.rejections.append(answers.reject(subscription, answered, request.error_detail))
            self._quiet = -1

    def _wished(self, subscription: Subscription, wish: wishes.Wish) -> None:
        _check(subscription, wish)
        self._quiet = -1
        shelf, names = subscription.shelf, subscription.names
        if wish.wildcard and not subscription.wildcard:
            for name in names:
                shelf.unwatch(self, name)
            shelf.join(self)
            subscription.everything()
        for name in wish.added:
            names[name] = None
            subscription.asked[name] = self.view.commit
            if not subscription.wildcard:
                shelf.watch(self, name)
        for name in wish.dropped:
            self._dropped(subscription, name)
        if subscription.wildcard and not wish.wildcard:
            subscription.only_names()
            shelf.leave(self)
            for name in names:
                shelf.watch(self, name)
        if not subscription.subscribed:
            # The client drops a response that nobody there waits for, without an answer (75).
            subscription.landed()

    def _dropped(self, subscription: Subscription, name: str) -> None:
        if name not in subscription.names:
            return  # never subscribed, which is no error (43)
        del subscription.names[name]
        if not subscription.wildcard:
            subscription.shelf.unwatch(self, name)
            subscription.forget(name)
        elif self._delta:
            subscription.asked[name] = self.view.commit  # the client wants it now as one of all (44)

    # ----- to the client

    def next_reply(self) -> Reply | None:
        """The next response that may be sent now, or None. Call it until it returns None; then `held` is valid."""
        if self._quiet == self.view.commit:
            return None
        held = removals_held = NEVER
        quiet, dropped = True, False
        for subscription in self._ordered:
            if not subscription.due():
                continue
            waits = subscription.gated or subscription.removing()
            passing = window(self._subscriptions, subscription, self._released) if waits else OPEN
            if subscription.flight is None or subscription.overdue:
                reply = self._choose(subscription, passing)
                if reply is not None:
                    return reply
                dropped |= not subscription.due()
            elif subscription.passes(changes=passing.changes, removals_before=passing.removals_before):
                held = min(held, subscription.flight_commit)
            quiet &= not subscription.due()
            held, removals_held = min(held, passing.held), min(removals_held, passing.removals_held)
        if dropped and not quiet:
            return self.next_reply()  # what turned out to be nothing may have been what another type waited for
        self._held_changes = held
        held = min(held, removals_held)
        self.held = None if held == NEVER else held
        if quiet:
            self._quiet = self.view.commit
        return None

    def _choose(self, subscription: Subscription, passing: Window) -> Reply | None:
        if subscription.full:
            reply = full_state.choose(subscription, passing, self.identifier)
        else:
            refused = withheld(self._subscriptions, subscription)
            reply = by_name.choose(subscription, passing, self.identifier, delta=self._delta, withheld=refused)
        if reply is not None and reply.manifest.followers:
            self._follow(subscription.type_url, reply)
        return reply

    def release(self, commit: int) -> bool:
        """Waiting for `held` has taken long enough: what was due at that commit may pass. True if something is due."""
        if self.held is None or self.held > commit:
            return False
        changes, removals = self._released
        if self._held_changes <= commit:
            self._released = Released(max(changes, commit), removals)
        else:
            self._released = Released(changes, max(removals, commit))
        for subscription in self._ordered:
            if subscription.flight is not None and subscription.flight_commit <= commit and subscription.due():
                subscription.overdue = True
        return True

    def _follow(self, type_url: str, reply: Reply) -> None:
        """Send the endpoints of clusters that were just sent, even unchanged ones: clients wait for them (82)."""
        follower = self._subscriptions.get(FOLLOWED_BY[type_url])
        if follower is not None:
            for name in reply.manifest.followers:
                if follower.covers(name):
                    follower.dirty.setdefault(name, reply.commit)
        elif self._followers is not None:
            self._followers.update(reply.manifest.followers)

    # ----- from the view

    def changed(self, type_url: str, name: str, commit: int) -> None:
        """Called by the view: a name that is subscribed explicitly was added or changed."""
        self._subscriptions[type_url].changed(name, commit)

    def removed(self, type_url: str, record: Record, commit: int) -> None:
        """Called by the view: a name that is subscribed explicitly was removed."""
        self._subscriptions[type_url].removed(record, commit)

    def cursors(self, type_url: str) -> tuple[int, int]:
        """Called by the view: what of its logs this wildcard subscription still needs."""
        subscription = self._subscriptions[type_url]
        removals = subscription.removal_cursor if subscription.reports_removals else subscription.shelf.removals.head
        return subscription.cursor, removals

    # ----- for operators

    def take_rejections(self) -> list[Rejection]:
        """The rejections since the last call."""
        taken, self.rejections = self.rejections, []
        return taken

    def status(self) -> list[TypeStatus]:
        """What was asked for, sent and confirmed, by type in wire order."""
        return [subscription.status(self.view.commit) for subscription in self._ordered]

    def acked_version(self, type_url: str, name: str) -> str | None:
        """The version of that name that the client last acknowledged; known of secrets only."""
        subscription = self._subscriptions.get(type_url)
        record = subscription.acked.get(name) if subscription is not None else None
        return record.version if record is not None else None

    def doubts(self) -> frozenset[tuple[str, str]]:
        """(type_url, name) of what the client rejected and has not accepted since, for its next stream."""
        doubts = {doubt for doubt in self._doubts if doubt[0] not in self._subscriptions}
        for type_url, subscription in self._subscriptions.items():
            doubts.update((type_url, name) for name in subscription.doubted | subscription.parked.keys())
            if subscription.parked_version:
                doubts.add((type_url, answers.EVERYTHING))
        return frozenset(doubts)

    def close(self) -> None:
        """Detach from the view. Nothing is due afterwards."""
        self.closed = True
        for subscription in self._ordered:
            subscription.close()
            subscription.shelf.leave(self)
            if not subscription.wildcard:
                for name in subscription.names:
                    subscription.shelf.unwatch(self, name)
        self._subscriptions.clear()
        self._ordered = []
        self.view.detach(self)


def _check(subscription: Subscription, wish: wishes.Wish) -> None:
    if len(subscription.names) + len(wish.added) > NAMES_MAX:
        raise PeerError(Fault.EXHAUSTED, f"more than {NAMES_MAX} names of one type")
    if any(len(name.encode()) > NAME_BYTES_MAX for name in wish.added):
        kind = SHORT.get(subscription.type_url, subscription.type_url)
        raise PeerError(Fault.EXHAUSTED, f"a resource name of {kind} is longer than {NAME_BYTES_MAX} bytes")
