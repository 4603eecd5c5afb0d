"""A client that applies at once and answers late never holds a route to what it lacks (conformance 71, 73)."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from fakes.model import Model
from fakes.protocol import cluster, resource
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from xds.engine.view import View
from xds.names import CLUSTER, ENDPOINT, LISTENER, ROUTE

TYPES = [CLUSTER, ENDPOINT, LISTENER, ROUTE]
SETTINGS = settings(
    max_examples=120, stateful_step_count=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


class MakeBeforeBreak(RuleBasedStateMachine):
    """Listeners and routes hold the name of the cluster that they use. One change after another swaps some of them.

    No rejections and no time-outs: these give the guarantee up.
    """

    delta: bool

    def __init__(self) -> None:
        super().__init__()
        self.view = View()
        self.targets: dict[bytes, str] = {}
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

    @rule(
        routes=st.fixed_dictionaries({"r1": st.sampled_from("abcd"), "r2": st.sampled_from("abcd")}),
        extra=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=2),
    )
    def publish(self, routes, extra) -> None:
        clusters = {**dict.fromkeys(routes.values(), 0), **extra}
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
