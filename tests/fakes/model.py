"""A client as a model: it keeps what it was sent, and refuses what a server must never do."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from fakes.protocol import Delta, Detail, Response, Sotw, decode
from xds.engine.events import Reply
from xds.engine.record import Record
from xds.engine.session import Session
from xds.engine.types import policy_of
from xds.engine.view import View
from xds.names import CLUSTER, LISTENER, ROUTE


@dataclass
class Held:
    """What the client knows of one type."""

    wildcard: bool = False
    names: set[str] = field(default_factory=set)
    resources: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    legacy: bool = False
    """The wildcard was asked for by naming nothing."""
    type_version: str = ""
    waiting: list[Response] = field(default_factory=list)
    """Responses received and not answered yet."""
    read_at: dict[str, int] = field(default_factory=dict)
    """When a response came."""
    last_nonce: str = ""
    """Of the last response that was answered."""
    rejected: dict[str, dict[bytes, int]] = field(default_factory=lambda: defaultdict(dict))
    """Name -> the bodies that were rejected since the last good one, and when."""
    told: int = 0
    """Grows with each change of the type in the view, and of the subscription."""
    patient: bool = True
    """False once the server may send more than one response without an answer."""

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names


class Model:
    """One client, over one or more streams."""

    def __init__(self, view: View, *, delta: bool) -> None:
        self.view = view
        self.delta = delta
        self.types: dict[str, Held] = defaultdict(Held)
        self.opened: set[str] = set()
        self.session = Session(view, delta=delta, allowed=None)
        self.nonces: set[str] = set()
        self.doubts: frozenset[tuple[str, str]] = frozenset()

    # ----- from the server

    def pull(self) -> list[Reply]:
        """Read everything that is due."""
        got = []
        while (reply := self.session.next_reply()) is not None:
            got.append(reply)
            self.read(reply)
            assert len(got) < 200, "an endless push"
        return got

    def send(self, request: Any) -> list[Reply]:
        reply = self.session.on_request(request)
        if reply is None:
            return self.pull()
        self.read(reply)
        return [reply, *self.pull()]

    def read(self, reply: Reply) -> None:
        response = decode(reply, delta=self.delta)
        held = self.types[response.type_url]
        assert response.nonce not in self.nonces, "a nonce twice"
        self.nonces.add(response.nonce)
        assert not (held.waiting and held.patient), "two responses in flight"
        for name, body in response.resources.items():
            if policy_of(response.type_url).full_state and not self.delta:
                continue
            assert held.rejected[name].get(body) != held.told, f"{name} was rejected, and nothing has happened since"
        held.waiting.append(response)
        held.read_at[response.nonce] = held.told
        held.patient = True

    # ----- to the server

    def request(self, type_url: str, nonce: str, error: Detail | None = None) -> Any:
        held = self.types[type_url]
        if self.delta:
            return Delta(type_url, response_nonce=nonce, error_detail=error)
        names = ["*"] * (held.wildcard and not held.legacy) + sorted(held.names)
        return Sotw(type_url, names, held.type_version, nonce, error)

    def subscribe(self, type_url: str, names: set[str], *, wildcard: bool, legacy: bool = False) -> list[Reply]:
        """Make this the subscription."""
        held = self.types[type_url]
        first = type_url not in self.opened
        if not (wildcard or names) and (held.legacy if not first else policy_of(type_url).legacy_wildcard):
            return []  # there is no way to say "nothing" in words that do not mean "everything"
        legacy = legacy and first and wildcard and not names and policy_of(type_url).legacy_wildcard
        wanted = ({"*"} if wildcard and not legacy else set()) | names
        had = ({"*"} if held.wildcard else set()) | held.names
        request = self._subscription(type_url, wanted, set() if first else had, first=first)
        held.wildcard, held.names, held.legacy = wildcard, set(names), legacy
        self.opened.add(type_url)
        held.told += 1
        for name in [name for name in held.resources if not held.wants(name)]:
            del held.resources[name]
            held.versions.pop(name, None)
        if not (wildcard or names):
            held.waiting.clear()  # nobody waits for what is in flight: it is dropped unanswered
            held.type_version = ""  # who holds nothing claims nothing
        return self.send(request)

    def _subscription(self, type_url: str, wanted: set[str], had: set[str], *, first: bool) -> Any:
        held = self.types[type_url]
        if not self.delta:
            return Sotw(type_url, sorted(wanted), held.type_version, "" if first else held.last_nonce)
        initial = dict(held.versions) if first else {}
        return Delta(type_url, sorted(wanted - had), sorted(had - wanted), initial)

    def ack(self, type_url: str) -> list[Reply]:
        """Answer the oldest response, as Envoy in delta does; in SotW the newest, which answers all."""
        held = self.types[type_url]
        response = held.waiting.pop(0)
        self._keep(response)
        while not self.delta and held.waiting:
            response = held.waiting.pop(0)
            self._keep(response)
        held.last_nonce = response.nonce
        return self.send(self.request(type_url, response.nonce))

    def _keep(self, response: Response) -> None:
        held = self.types[response.type_url]
        wanted = {name: body for name, body in response.resources.items() if held.wants(name)}
        if policy_of(response.type_url).full_state and not self.delta:
            held.resources = wanted
            held.rejected.clear()
        else:
            for name, body in wanted.items():
                if held.resources.get(name) != body:  # otherwise it may be the good one, sent over a rejected one
                    rejected = held.rejected.pop(name, {})
                    held.told += bool(
                        rejected.keys() - {body}
                    )  # a cure; what was rejected beside it may be tried again
            held.resources.update(wanted)
        held.versions.update((name, response.versions[name]) for name in wanted if name in response.versions)
        for name in response.removed:
            held.resources.pop(name, None)
            held.versions.pop(name, None)
        held.type_version = response.version

    def nack(self, type_url: str) -> list[Reply]:
        """Refuse the oldest response, but for its removals, as Envoy does (facts 20)."""
        held = self.types[type_url]
        response = held.waiting.pop(0)
        for name, body in response.resources.items():
            held.rejected[name][body] = held.read_at[response.nonce]
        for name in response.removed:
            held.resources.pop(name, None)
            held.versions.pop(name, None)
        held.last_nonce = response.nonce
        return self.send(self.request(type_url, response.nonce, Detail()))

    def reconnect(self) -> list[Reply]:
        """A new stream that asks for the same, in an order of its own."""
        doubts = self.session.doubts()
        self.session.close()
        self.session = Session(self.view, delta=self.delta, allowed=None, doubts=doubts)
        asked, self.opened = sorted(self.opened), set()
        got = []
        self.nonces.clear()
        for type_url in asked:
            held = self.types[type_url]
            held.waiting.clear()
            held.last_nonce = ""
            held.told += 1
            got += self.subscribe(type_url, set(held.names), wildcard=held.wildcard, legacy=held.legacy)
        return got

    def release(self) -> list[Reply]:
        """The gate's time is over."""
        for held in self.types.values():
            held.patient = not held.waiting
        self.session.release(self.session.held)
        return self.pull()

    def settle(self) -> None:
        """Accept everything until the server is quiet."""
        self.pull()
        for _ in range(500):
            waiting = [type_url for type_url, held in self.types.items() if held.waiting]
            if waiting:
                self.ack(waiting[0])
            elif self.session.held is not None:
                self.release()
            else:
                assert self.pull() == []
                return
        raise AssertionError("an endless conversation")

    # ----- what must be true

    def check_converged(self) -> None:
        """After `settle`: the client holds the view, but for what it rejected and what it was not told to drop."""
        statuses = {status.type_url: status for status in self.session.status()}
        blocked = any(statuses[each].rejection for each in (CLUSTER, LISTENER, ROUTE) if each in statuses)
        for type_url in sorted(self.opened):
            held = self.types[type_url]
            records: dict[str, Record] = dict(self.view.records(type_url))
            status = statuses[type_url]
            assert not status.in_flight
            for name, record in records.items():
                if held.wants(name) and held.resources.get(name) != record.body:
                    assert record.body in held.rejected[name], f"{type_url} {name} never arrived"
            tells = policy_of(type_url).answer_missing if self.delta else policy_of(type_url).full_state
            if tells and not blocked and not status.rejection:
                assert set(held.resources) <= set(records), f"{type_url} {set(held.resources) - set(records)} stayed"
            if not (blocked or status.rejection or status.parked):
                assert status.acked_commit == status.sent_commit == self.view.commit, status
