"""Real Envoys: from publish through acknowledgement to the first request that shows the effect.

Each Envoy has two listeners: one takes its routes from the server under test, one from a file (the floor: no control
plane at all, only what Envoy itself needs to apply the same route). Changes alternate between the two, in one run and
in the same processes; requests go to all listeners all the time, and none may fail.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from bench.clients import envoy
from bench.clients.envoy import FROM_FILE, SERVED, Admin, Place
from bench.core import machine
from bench.core.clock import NS, now_ns, sleep_until_ns
from bench.core.gates import Gate
from bench.core.histogram import Latencies
from bench.core.pki import Tls
from bench.core.process import Child, RunFailed, leashed, module, running
from bench.core.schedule import interleaved

EFFECT_S_MAX = 10.0
"""A change that has no effect by then is lost."""
REJECTABLE = 3
"""Subscriptions of each Envoy: clusters, and the routes of two listeners."""
WATCH_S = 0.02
"""So long before a change is due the prober begins to look."""


@dataclass(frozen=True, slots=True)
class EnvoyLoad:
    """What one run does."""

    envoys: int
    resources: int
    changes: int
    """Of each of the two sources."""
    rate: float
    warm_up: int
    body_bytes: int


@dataclass(slots=True)
class Seen:
    """Latencies of one source, from the intended time of each change."""

    per_node: Latencies = field(default_factory=Latencies)
    last_node: Latencies = field(default_factory=Latencies)
    last_node_ms: list[float] = field(default_factory=list)
    acknowledged: Latencies = field(default_factory=Latencies)
    lost: int = 0

    def effect(self, due: int, at: Sequence[int]) -> None:
        """Every node has shown the change."""
        for each in at:
            self.per_node.record(each - due)
        self.last_node.record(max(at) - due)
        self.last_node_ms.append((max(at) - due) / 1e6)

    def as_json(self) -> dict[str, object]:
        """For the result file."""
        return {
            "per_node": self.per_node.as_json(),
            "last_node": self.last_node.as_json(),
            "last_node_ms": self.last_node_ms,
            "acknowledged": self.acknowledged.as_json() if self.acknowledged.count else None,
            "lost": self.lost,
        }


@dataclass(frozen=True, slots=True)
class EnvoyRun:
    """Figures of a run, and whether they count."""

    load: EnvoyLoad
    seen: Mapping[str, Seen]
    requests: int
    prober_cpu_s: float
    gates: tuple[Gate, ...]


class Alternating:
    """The run while it goes."""

    def __init__(self, server: Child, prober: Child, route_file: Path, load: EnvoyLoad) -> None:
        self._server = server
        self._prober = prober
        self._route_file = route_file
        self._load = load
        self._sequence = 0
        self.last = dict.fromkeys((SERVED, FROM_FILE), 0)
        self.seen = {SERVED: Seen(), FROM_FILE: Seen()}

    async def changes(self, count: int, *, measured: bool) -> None:
        """That many changes of each source, in the order A B, B A, and so on."""
        due = now_ns() + NS // 10
        for _, source in interleaved((SERVED, FROM_FILE), count):
            self._sequence += 1
            self.last[source] = self._sequence
            await self._change(source, self._sequence, due, self.seen[source] if measured else Seen())
            due += round(NS / self._load.rate)

    async def _change(self, source: str, sequence: int, due: int, seen: Seen) -> None:
        beside = envoy.write_route(self._route_file, sequence) if source == FROM_FILE else None
        await sleep_until_ns(due - round(WATCH_S * NS))
        await self._prober.command("watch", group=source, sequence=sequence)
        await sleep_until_ns(due)
        if beside is not None:
            beside.rename(self._route_file)
        else:
            await self._server.send(f"{sequence} 0")
            await self._acknowledged(sequence, due, seen)
        with trio.move_on_after(EFFECT_S_MAX) as limit:
            seen.effect(due, (await self._prober.event("effect"))["at"])
        seen.lost += limit.cancelled_caught

    async def _acknowledged(self, sequence: int, due: int, seen: Seen) -> None:
        with trio.move_on_after(EFFECT_S_MAX):
            while (event := await self._server.event("acknowledged"))["sequence"] < sequence:
                pass
            seen.acknowledged.record(event["at"] - due)


async def run(server_module: str, load: EnvoyLoad, tls: Tls | None, told: Callable[[str], None]) -> EnvoyRun:
    """One run, in fresh processes and a directory of its own."""
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="bench-envoys-")))
        route_file = directory / "route.pb"
        envoy.write_route(route_file, 0).rename(route_file)
        serve = {
            "kind": "probe",
            "resources": load.resources,
            "body_bytes": load.body_bytes,
            "streams": load.envoys,
            "tls": tls.server if tls else None,
        }
        server = await stack.enter_async_context(running("legation", module(server_module, serve)))
        listen = (await server.event("ready"))["listen"]
        client_tls = tls.client if tls else None
        places = [Place(directory, f"envoy-{i}", listen, route_file, client_tls) for i in range(load.envoys)]
        for place in places:
            await stack.enter_async_context(running(place.name, leashed(place.command())))
        told(f"{load.envoys} Envoys start")
        admins = [await _ready(place) for place in places]
        prober = await stack.enter_async_context(running("prober", module("bench.clients.prober", await _asks(admins))))
        await prober.event("ready")
        alternating = Alternating(server, prober, route_file, load)
        told("warming up")
        await alternating.changes(load.warm_up, measured=False)
        told("measuring")
        await alternating.changes(load.changes, measured=True)
        await prober.command("finish")
        result = await prober.event("result")
        gates = await _judge(load, alternating, admins, result)
        return EnvoyRun(load, alternating.seen, result["requests"], result["cpu_s"], gates)


async def _ready(place: Place) -> Admin:
    try:
        return await envoy.ready(place)
    except trio.TooSlowError:
        raise RunFailed(f"{place.name} was not ready within {envoy.READY_S_MAX:g} s") from None


async def _asks(admins: Sequence[Admin]) -> dict[str, object]:
    targets = [(name, where) for admin in admins for name, where in (await admin.listeners()).items()]
    return {"targets": targets, "cpu": machine.cpus_for_pair()[1]}


async def _judge(
    load: EnvoyLoad, alternating: Alternating, admins: Sequence[Admin], result: Mapping[str, Any]
) -> tuple[Gate, ...]:
    counters = [await admin.counters("update_rejected") for admin in admins]
    rejected = sum(sum(each.values()) for each in counters)
    silent = sum(len(each) < REJECTABLE for each in counters)
    lost = sum(seen.lost for seen in alternating.seen.values())
    behind = sum(mark < alternating.last[name] for name, marks in result["marks"].items() for mark in marks)
    run_name = f"{load.envoys} Envoys"
    first = result["faults"][0] if result["faults"] else ""
    facts = (
        ("every change took effect on every Envoy", lost == behind == 0, f"{lost} lost, {behind} behind"),
        ("no rejection", rejected == silent == 0, f"{rejected} rejected, {silent} Envoys without figures"),
        ("no request failed", result["failed"] == 0, f"{result['failed']} of {result['requests']} {first}"),
        ("as many Envoys as asked for", len(admins) == load.envoys, f"{len(admins)}"),
    )
    return tuple(Gate(run_name, *fact) for fact in facts)
