"""Clients that do anything a client may do, at any moment; afterwards each of them holds what the view holds."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from fakes.model import Model
from fakes.protocol import Detail, cluster, resource
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
