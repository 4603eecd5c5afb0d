"""One run of a server with a fleet of synthetic Envoys: connect, warm up, publish by the schedule, judge."""

from __future__ import annotations

import dataclasses
import itertools
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import trio

from bench.core import corpus, machine, schedule
from bench.core.clock import NS, US, cpu_ns, now_ns, sleep_until_ns
from bench.core.gates import Gate, Outcome, judge
from bench.core.histogram import Latencies
from bench.core.pki import Tls
from bench.core.process import Child, RunFailed, module, running

CONNECT_S_MAX = 120.0
SPREAD_S_MAX = 30.0
"""After the last publish; then what has not arrived counts as lost."""
SETTLE_S = 1.0
LEAD_NS = NS // 10


@dataclass(frozen=True, slots=True)
class Subject:
    """A server to be measured: a module that obeys `bench.servers.commands`."""

    name: str
    module: str
    settings: Mapping[str, object] = field(default_factory=dict)


LEGATION = Subject("legation", "bench.servers.legation")
ENGINE = Subject("engine and edge only", "bench.servers.engine")
FLOOR = Subject("floor", "bench.servers.empty")
UNTUNED = Subject("floor, untuned", "bench.servers.empty", {"tuned": False})


@dataclass(frozen=True, slots=True)
class Load:
    """What one run does."""

    nodes: int
    resources: int
    changes: int
    rate: float
    warm_up: int
    seed: int
    node_bytes: int = corpus.NODE_BYTES
    body_bytes: int = corpus.CLUSTER_BYTES
    pin: bool = True

    def schedules(self) -> tuple[tuple[schedule.Change, ...], tuple[schedule.Change, ...]]:
        """(warm-up, measured); numbered through."""
        made = schedule.changes(
            count=self.warm_up + self.changes, rate=self.rate, resources=self.resources, seed=self.seed
        )
        start = made[self.warm_up].due_ns
        measured = tuple(dataclasses.replace(change, due_ns=change.due_ns - start) for change in made[self.warm_up :])
        return made[: self.warm_up], measured


@dataclass(frozen=True, slots=True)
class Run:
    """Figures of one run, and whether they count."""

    subject: str
    pair: int
    load: Load
    ready: Mapping[str, Any]
    cpu_us: tuple[float, ...]
    """Server CPU of each change, per message that it sent: one to each node, fewer where changes were merged."""
    messages_per_push: float
    """Of each node; 1 unless the server fell behind."""
    others_share: float
    """Of the machine's CPUs, used by processes that have nothing to do with the run."""
    connect_cpu_us: float
    """Server CPU from the first connection to the last node's initial state, per node."""
    connect_s: float
    memory_kb: float
    """PSS after connecting minus before, per node."""
    per_node: Latencies
    last_node: Latencies
    last_node_ms: Mapping[str, float]
    late_ms: float
    """How late the harness itself published, at worst; it is part of the latencies."""
    client: Mapping[str, Any]
    gates: tuple[Gate, ...]

    def as_json(self) -> dict[str, object]:
        """For the result file."""
        plain = {name: getattr(self, name) for name in self.__slots__}
        return plain | {
            "load": dataclasses.asdict(self.load),
            "per_node": self.per_node.as_json(),
            "last_node": self.last_node.as_json(),
            "gates": [gate.as_json() for gate in self.gates],
        }


class Synthetic:
    """The run while it goes."""

    def __init__(self, server: Child, fleet: Child, load: Load) -> None:
        self._server = server
        self._fleet = fleet
        self._load = load
        self._state = corpus.State(load.resources, load.body_bytes)
        self._intended: dict[int, int] = {}
        self._cpu: list[int] = []
        self._late_ns = 0
        self._connect: dict[str, float] = {}
        self._others = 0.0

    async def connect(self) -> None:
        """All nodes connect and get the initial state."""
        pid, load = self._server.pid, self._load
        memory, cpu = machine.pss_kb(pid), cpu_ns(pid)
        began = now_ns()
        await self._fleet.command("connect")
        with trio.move_on_after(CONNECT_S_MAX) as limit:
            complete = await self._fleet.event("complete")
        if limit.cancelled_caught:
            raise RunFailed(f"{self._server.name}: not every node had the initial state within {CONNECT_S_MAX:g} s")
        if complete["nodes"] < load.nodes:
            raise RunFailed(f"{self._server.name}: {complete['nodes']} of {load.nodes} nodes: {complete['faults']}")
        self._connect["connect_s"] = (now_ns() - began) / NS
        self._connect["connect_cpu_us"] = (cpu_ns(pid) - cpu) / US / load.nodes
        await trio.sleep(SETTLE_S)
        self._connect["memory_kb"] = (machine.pss_kb(pid) - memory) / load.nodes

    async def warm_up(self, changes: Sequence[schedule.Change]) -> None:
        """Publish what is not measured; the rule, not the eye, says how much."""
        await self._publish(changes)
        self._intended.clear()
        self._cpu.clear()
        self._late_ns = 0
        await self._fleet.command("begin")
        await self._fleet.event("begun")

    async def measure(self, changes: Sequence[schedule.Change]) -> None:
        """Publish by the schedule, whatever the server does."""
        before = self._used()
        await self._publish(changes)
        self._cpu.append(cpu_ns(self._server.pid))
        at, machine_ns, ours_ns = (now - then for now, then in zip(self._used(), before, strict=True))
        self._others = max(0.0, (machine_ns - ours_ns) / (at * (os.cpu_count() or 1)))

    def _used(self) -> tuple[int, int, int]:
        """(time, CPU of the machine, CPU of this run's processes)."""
        ours = cpu_ns(self._server.pid) + cpu_ns(self._fleet.pid) + time.process_time_ns()
        return now_ns(), machine.busy_ns(), ours

    async def finish(self, subject: Subject, pair: int, ready: Mapping[str, Any]) -> Run:
        """Ask the fleet what it saw, and judge."""
        await self._fleet.command("finish", intended=self._intended, digest=self._state.digest())
        seen = await self._fleet.event("result")
        counters = seen["counters"]
        gates = judge(
            f"{subject.name}, pair {pair + 1}, R = {self._load.resources}",
            Outcome(
                nodes=self._load.nodes,
                nodes_at_final=seen["nodes_at_final"],
                rejections=counters["rejections"],
                streams_ended=counters["ended"],
                wrong_states=seen["wrong_states"],
                states_checked=seen["states_checked"],
                client_share=seen["client_share"],
                faults=tuple(counters["faults"]),
            ),
        )
        messages = counters["messages"] / self._load.changes
        return Run(
            subject=subject.name,
            pair=pair,
            load=self._load,
            ready=ready,
            cpu_us=tuple((b - a) / US / messages for a, b in itertools.pairwise(self._cpu)),
            messages_per_push=messages / self._load.nodes,
            others_share=self._others,
            **self._connect,
            per_node=Latencies.decode(seen["per_node"]),
            last_node=Latencies.decode(seen["last_node"]),
            last_node_ms=seen["last_node_ms"],
            late_ms=self._late_ns / 1e6,
            client={key: seen[key] for key in ("client_share", "share_of_window", "counters")},
            gates=gates,
        )

    async def _publish(self, changes: Sequence[schedule.Change]) -> None:
        if not changes:
            return
        start = now_ns() + LEAD_NS
        for change in changes:
            due = start + change.due_ns
            await sleep_until_ns(due)
            self._cpu.append(cpu_ns(self._server.pid))
            self._late_ns = max(self._late_ns, now_ns() - due)
            self._intended[change.sequence] = due
            self._state.change(change.resource, change.sequence)
            await self._server.send(f"{change.sequence} {change.resource}")
        await self._spread(changes[-1].sequence)
        await sleep_until_ns(start + changes[-1].due_ns + round(NS / self._load.rate))

    async def _spread(self, sequence: int) -> None:
        """Wait until the last node has it; if that never happens, the gates will say so."""
        with trio.move_on_after(SPREAD_S_MAX):
            while (await self._fleet.event("spread"))["sequence"] < sequence:
                pass


async def run(subject: Subject, pair: int, load: Load, tls: Tls | None = None) -> Run:
    """One run, in fresh processes."""
    server_cpu, client_cpu = machine.cpus_for_pair() if load.pin else (None, None)
    warm, measured = load.schedules()
    serve = {
        "resources": load.resources,
        "body_bytes": load.body_bytes,
        "streams": load.nodes,
        "cpu": server_cpu,
        "tls": tls.server if tls else None,
        **subject.settings,
    }
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(subject.name, module(subject.module, serve)))
        ready = await server.event("ready")
        connect = {
            "target": ready["listen"],
            "nodes": load.nodes,
            "resources": load.resources,
            "changes": load.warm_up + load.changes,
            "node_bytes": load.node_bytes,
            "sample_every": max(1, min(25, load.nodes // 4)),
            "cpu": client_cpu,
            "tls": tls.client if tls else None,
        }
        fleet = await stack.enter_async_context(running("fleet", module("bench.clients.fleet", connect)))
        await fleet.event("ready")
        synthetic = Synthetic(server, fleet, load)
        await synthetic.connect()
        await synthetic.warm_up(warm)
        await synthetic.measure(measured)
        return await synthetic.finish(subject, pair, ready)
