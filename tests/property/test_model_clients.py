"""Clients that do anything a client may do, at any moment; afterwards each of them holds what the view holds."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from fakes.model import Model
from fakes.protocol import Delta, Detail, Sotw, cluster, resource
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET

TYPES = [CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET]
NAMES = ["a", "b", "c"]
SETTINGS = settings(
    max_examples=120, stateful_step_count=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

types = st.sampled_from(TYPES)
names = st.sets(st.sampled_from([*NAMES, "missing"]))
keys = st.tuples(types, st.sampled_from(NAMES))
words = st.sampled_from("123")


class Conversation(RuleBasedStateMachine):
    """Two clients that do the same, so that what they are sent must be the same object."""

    delta: bool

    def __init__(self) -> None:
        super().__init__()
        self.view = View()
        self.clients = [Model(self.view, delta=self.delta) for _ in range(2)]
        self.same = True

    def both(self, act) -> None:
        one, other = (act(client) for client in self.clients)
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            assert left is right or left.manifest.restored, "the same state, another message"

    @property
    def model(self) -> Model:
        return self.clients[0]

    def waiting(self) -> list[str]:
        return [type_url for type_url in TYPES if self.model.types[type_url].waiting]

    @initialize(records=st.dictionaries(keys, words, max_size=6))
    def begin(self, records) -> None:
        self.publish(records, set())

    @rule(upserts=st.dictionaries(keys, words, max_size=4), removals=st.sets(keys, max_size=3))
    def publish(self, upserts, removals) -> None:
        records = [
            cluster(name, word) if type_url == CLUSTER else resource(type_url, name, word)
            for (type_url, name), word in upserts.items()
        ]
        before = {type_url: self.view.shelf(type_url).commit for type_url in TYPES}
        self.view.apply(records, removals)
        for client in self.clients:
            for type_url in TYPES:
                client.types[type_url].told += self.view.shelf(type_url).commit != before[type_url]
                if type_url == ENDPOINT and self.view.shelf(CLUSTER).commit != before[CLUSTER]:
                    client.types[type_url].told += 1  # endpoints follow their cluster

    @rule(type_url=types, wanted=names, wildcard=st.booleans(), legacy=st.booleans())
    def subscribe(self, type_url, wanted, wildcard, legacy) -> None:
        self.both(lambda client: client.subscribe(type_url, wanted, wildcard=wildcard, legacy=legacy))

    @rule()
    def pull(self) -> None:
        self.both(lambda client: client.pull())

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def ack(self, data) -> None:
        type_url = data.draw(st.sampled_from(self.waiting()))
        self.both(lambda client: client.ack(type_url))

    @precondition(lambda self: self.waiting())
    @rule(data=st.data())
    def nack(self, data) -> None:
        type_url = data.draw(st.sampled_from(self.waiting()))
        self.both(lambda client: client.nack(type_url))

    @rule(type_url=types, nonce=st.sampled_from(["", "1", "2", "never"]), bad=st.booleans())
    def stale(self, type_url, nonce, bad) -> None:
        current = {response.nonce for client in self.clients for response in client.types[type_url].waiting}
        if type_url not in self.model.opened or nonce in current:
            return
        self.both(lambda client: client.send(client.request(type_url, nonce, Detail() if bad else None)))

    @rule()
    def reconnect(self) -> None:
        self.both(lambda client: client.reconnect())

    @precondition(lambda self: self.model.session.held is not None)
    @rule()
    def release(self) -> None:
        self.both(lambda client: client.release())

    @rule()
    def settle(self) -> None:
        for client in self.clients:
            client.settle()
            client.check_converged()

    @invariant()
    def the_logs_are_read_by_somebody(self) -> None:
        for type_url in TYPES:
            shelf = self.view.shelf(type_url)
            for session in shelf.wildcards:
                change, removal = session.cursors(type_url)
                assert shelf.changes.base <= change <= shelf.changes.head
                assert shelf.removals.base <= removal <= shelf.removals.head
            assert all(name not in shelf.records for name in shelf.gone)

    def teardown(self) -> None:
        self.settle()
        for client in self.clients:
            client.session.close()
        assert all(not self.view.shelf(type_url).index for type_url in TYPES)


class DeltaConversation(Conversation):
    delta = True


class SotwConversation(Conversation):
    delta = False


@pytest.mark.parametrize("machine", [DeltaConversation, SotwConversation])
def test_every_conversation_ends_with_the_view(machine: type[Conversation]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)


class MakeBeforeBreak(RuleBasedStateMachine):
    """A client that applies at once and answers late never holds a route to a cluster or endpoints that it lacks (71, 73).

    A route's word is the cluster that it names. No rejections and no time-outs: these give the guarantee up.
    """

    delta: bool

    def __init__(self) -> None:
        super().__init__()
        self.view = View()
        self.version = 0
        self.publish({"r1": "a", "r2": "b"}, {"a": 0, "b": 0})
        self.client = Model(self.view, delta=self.delta)
        self.applied: dict[str, dict[str, bytes]] = {type_url: {} for type_url in TYPES}
        real = self.client.read

        def read(reply) -> None:
            real(reply)
            self.apply(self.client.types[reply.type_url].waiting[-1])

        self.client.read = read
        self.client.subscribe(CLUSTER, set(), wildcard=True, legacy=True)
        self.client.subscribe(ENDPOINT, set(), wildcard=True)
        self.client.subscribe(LISTENER, set(), wildcard=True, legacy=True)
        self.client.subscribe(ROUTE, {"r1", "r2"}, wildcard=False)

    def apply(self, response) -> None:
        held = self.applied[response.type_url]
        if not self.delta and response.type_url in {CLUSTER, LISTENER}:
            held.clear()
        held.update(response.resources)
        for name in response.removed:
            held.pop(name, None)
        for route in (*self.applied[ROUTE].values(), *self.applied[LISTENER].values()):
            target = self.targets[route]
            assert target in self.applied[CLUSTER], f"a route to cluster {target}, which the client lacks"
            assert target in self.applied[ENDPOINT], f"a route to cluster {target}, whose endpoints the client lacks"

    targets: dict[bytes, str]

    @rule(
        routes=st.fixed_dictionaries({"r1": st.sampled_from("abcd"), "r2": st.sampled_from("abcd")}),
        extra=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=2),
    )
    def publish(self, routes, extra) -> None:
        self.targets = getattr(self, "targets", {})
        clusters = {**{target: 0 for target in routes.values()}, **extra}
        records = [cluster(name, str(word)) for name, word in clusters.items()]
        records += [resource(ENDPOINT, name) for name in clusters]
        for name, target in routes.items():
            for type_url, label in ((ROUTE, name), (LISTENER, f"l-{name}")):
                record = resource(type_url, label, target)
                self.targets[record.body] = target
                records.append(record)
        self.view.replace(records)

    @rule()
    def pull(self) -> None:
        self.client.pull()

    @rule(data=st.data())
    def ack(self, data) -> None:
        waiting = [type_url for type_url in TYPES if self.client.types[type_url].waiting]
        if waiting:
            self.client.ack(data.draw(st.sampled_from(waiting)))

    def teardown(self) -> None:
        for _ in range(100):
            waiting = [type_url for type_url in TYPES if self.client.types[type_url].waiting]
            if not waiting and not self.client.pull():
                break
            for type_url in waiting:
                if self.client.types[type_url].waiting:
                    self.client.ack(type_url)
        assert self.client.session.held is None, "everything is answered, and something still waits"
        self.client.check_converged()


class DeltaMakeBeforeBreak(MakeBeforeBreak):
    delta = True


class SotwMakeBeforeBreak(MakeBeforeBreak):
    delta = False


@pytest.mark.parametrize("machine", [DeltaMakeBeforeBreak, SotwMakeBeforeBreak])
def test_no_route_ever_lacks_its_cluster(machine: type[MakeBeforeBreak]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)


# ----- any state, any input

texts = st.one_of(st.sampled_from(["", "*", "a", "b", "1", "2", "3"]), st.text(max_size=4))
several = st.lists(texts, max_size=4)
errors = st.one_of(st.none(), st.builds(Detail, st.integers(0, 20), st.text(max_size=8)))
urls = st.sampled_from([*TYPES, "example/Unheard"])
delta_requests = st.builds(Delta, urls, several, several, st.dictionaries(texts, texts, max_size=3), texts, errors)
sotw_requests = st.builds(Sotw, urls, several, texts, texts, errors)


@pytest.mark.parametrize("delta", [True, False])
def test_any_request_in_any_state_is_answered_legally(delta: bool) -> None:
    from fakes.protocol import decode  # noqa: PLC0415 (near its only use)
    from hypothesis import given  # noqa: PLC0415

    from xds.engine.session import Session  # noqa: PLC0415

    inputs = st.one_of(
        delta_requests if delta else sotw_requests,
        st.tuples(st.dictionaries(keys, words, max_size=3), st.sets(keys, max_size=2)),
        st.integers(0, 10),
    )

    @settings(max_examples=300, deadline=None, database=None)
    @given(st.lists(inputs, max_size=25))
    def talk(conversation) -> None:
        view = View()
        session = Session(view, delta=delta, allowed=None)
        for each in conversation:
            replies = []
            if isinstance(each, tuple):
                upserts, removals = each
                view.apply([resource(*key, word) for key, word in upserts.items()], removals)
            elif isinstance(each, int):
                session.release(each)
            else:
                replies.append(session.on_request(each))
            while (reply := session.next_reply()) is not None:
                replies.append(reply)
                assert len(replies) < 100
            for reply in filter(None, replies):
                decode(reply, delta=delta)
            for status in session.status():
                assert status.acked_commit <= status.sent_commit <= view.commit
        session.close()
        assert not view.sessions

    talk()
