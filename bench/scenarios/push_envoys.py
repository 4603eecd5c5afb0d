"""What `push --envoys` prints: effects on real Envoys beside the same change through a file."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence

from rich.console import Console

from bench.clients.envoy import FROM_FILE, SERVED
from bench.core import report, stats
from bench.core.histogram import Latencies
from bench.runs.envoys import EnvoyRun

EXCESS_MS_MAX = 2.0
"""Median effect above that through a file."""
P99_MS_MAX = 20.0

NAMES = {SERVED: "legation", FROM_FILE: "file (floor)"}


def shown(console: Console, one: EnvoyRun, seed: int) -> tuple[dict[str, object], bool]:
    """Print a run; returns what goes to the result file, and whether it counts."""
    load = one.load
    rows = [
        (NAMES[name], _figures(seen.acknowledged), _figures(seen.per_node), _figures(seen.last_node))
        for name, seen in one.seen.items()
    ]
    columns = ("routes from", "acknowledged by all", "effect, per Envoy", "effect, last Envoy")
    title = (
        f"push: {load.envoys} Envoys, a route changed, {load.resources} clusters beside it; "
        f"{load.changes} changes each, {load.rate:g} a second; ms p50 / p99 / max"
    )
    console.print(report.table(title, columns, rows))
    console.print(f"{one.requests:,} requests; the prober looks every 1 ms while a change is awaited")
    gates = one.gates
    summary = {}
    if all(seen.last_node_ms for seen in one.seen.values()):
        excess = _excess([one.seen[name].last_node_ms for name in (SERVED, FROM_FILE)], random.Random(seed))
        summary["last node, legation - file, ms"] = excess.as_json()
        median = one.seen[SERVED].per_node.ms(50) - one.seen[FROM_FILE].per_node.ms(50)
        p99 = one.seen[SERVED].per_node.ms(99)
        console.print(f"last Envoy, median of legation minus median of file: {excess} ms")
        limit = f"≤ {EXCESS_MS_MAX:g} ms"
        report.target(console, "effect p50 above the file's", f"{median:.2f} ms", limit, met=median <= EXCESS_MS_MAX)
        report.target(console, "effect p99", f"{p99:.2f} ms", f"≤ {P99_MS_MAX:g} ms", met=p99 <= P99_MS_MAX)
    valid = report.verdict(console, gates)
    result = {
        "seen": {NAMES[name]: seen.as_json() for name, seen in one.seen.items()},
        "requests": one.requests,
        "prober_cpu_s": one.prober_cpu_s,
        "summary": summary,
        "gates": [gate.as_json() for gate in gates],
        "verdict": "valid" if valid else "failed",
    }
    return result, valid


def _figures(latencies: Latencies) -> str:
    if not latencies.count:
        return "-"
    return " / ".join(f"{latencies.ms(p):.1f}" for p in (50, 99, 100))


def _excess(samples: Sequence[Sequence[float]], rng: random.Random) -> stats.Estimate:
    a, b = samples

    def again(rng: random.Random) -> float:
        return statistics.median(rng.choices(a, k=len(a))) - statistics.median(rng.choices(b, k=len(b)))

    return stats.bootstrap(statistics.median(a) - statistics.median(b), again, rng)
