"""`push`: what one change costs a server and how soon every node has it.

Synthetic streams beside an empty server (CPU, memory, latency, growth with the number of resources), or, with
`--envoys`, real Envoys until a request shows the effect.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click
import trio
from rich.console import Console

from bench.core import corpus, machine, pki, report, stats
from bench.core.histogram import merged
from bench.core.process import RunFailed
from bench.core.schedule import interleaved
from bench.runs import envoys as real
from bench.runs.synthetic import ENGINE, FLOOR, LEGATION, UNTUNED, Load, Run, Subject, run
from bench.scenarios import push_envoys

RATIO = "CPU, legation / floor"
COST_MAX = 1.3
"""Push cost against the floor."""
EXPONENT = "exponent in R, legation"
EXPONENT_MAX = 0.05
"""Growth with the number of resources when one changes."""


OTHERS_MAX = 0.05
"""Of the machine; above that latencies are those of a busy machine, and ratios widen."""
EXTRA = {"engine": ENGINE, "untuned": UNTUNED}
"""Further servers by option."""


@click.command("push")
@click.option("--nodes", default=500, show_default=True, help="Synthetic Envoys, one connection each.")
@click.option("--resources", default=1000, show_default=True, help="Clusters that each node holds.")
@click.option("--changes", default=50, show_default=True, help="Measured changes of each run.")
@click.option("--warm-up", default=10, show_default=True, help="Changes before them, not counted.")
@click.option("--rate", default=4.0, show_default=True, help="Changes a second (open loop).")
@click.option("--pairs", default=3, show_default=True, help="Runs of each server, interleaved A B, B A, …")
@click.option("--seed", default=1, show_default=True, help="Draws which resources change.")
@click.option("--node-bytes", default=corpus.NODE_BYTES, show_default=True, help="Size of each first request's Node.")
@click.option("--sweep-resources", default="", metavar="R,R,…", help="Also fit the growth of CPU over these sizes.")
@click.option("--sweep-nodes", default=50, show_default=True, help="Synthetic Envoys of the sweep.")
@click.option("--engine", is_flag=True, help="Also measure Legation's engine and edge without its control room.")
@click.option("--untuned", is_flag=True, help="Also measure an empty server with grpc's and Python's defaults.")
@click.option("--tls", is_flag=True, help="mTLS with throw-away certificates.")
@click.option(
    "--pin/--no-pin", default=True, show_default=True, help="Server and generator on a CPU of their own each."
)
@click.option("--envoys", default=0, metavar="N", help="Real Envoys instead of synthetic streams.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Result file.")
def command(json_path: Path | None, **options: object) -> None:
    """Cost and latency of one change."""
    console = Console()
    scenario = _envoys if options["envoys"] else _synthetic
    try:
        result, valid = trio.run(scenario, options, console)
    except (KeyboardInterrupt, RunFailed) as stop:
        console.print(f"stopped: {str(stop) or 'interrupted'}", style="red", markup=False)
        sys.exit(1)
    if json_path is not None:
        report.save(json_path, report.header("push", options) | result)
        console.print(f"written: {json_path}")
    sys.exit(0 if valid else 1)


async def _synthetic(options: Mapping[str, object], console: Console) -> tuple[dict[str, object], bool]:
    load = _load(options)
    subjects = [LEGATION, FLOOR, *(subject for name, subject in EXTRA.items() if options[name])]
    sizes = [int(size) for size in str(options["sweep_resources"]).split(",") if size]
    runs: list[Run] = []
    with ExitStack() as stack:
        tls = stack.enter_context(pki.throwaway()) if options["tls"] else None
        for pair, subject in interleaved(subjects, int(str(options["pairs"]))):
            runs.append(await _told(console, subject, pair, load, tls))
        sweep = [
            await _told(
                console, subject, 0, _load(options, nodes=int(str(options["sweep_nodes"])), resources=size), tls
            )
            for size in sizes
            for subject in subjects
            if subject is not UNTUNED
        ]
    rng = random.Random(load.seed)
    summary = _summary(runs, sweep, rng)
    _print(console, runs, sweep, summary)
    gates = [gate for one in (*runs, *sweep) for gate in one.gates]
    valid = report.verdict(console, gates)
    result: dict[str, object] = {
        "runs": [one.as_json() for one in runs],
        "sweep": [one.as_json() for one in sweep],
        "summary": {name: estimate.as_json() for name, estimate in summary.items()},
        "verdict": "valid" if valid else "failed",
    }
    return result, valid


async def _envoys(options: Mapping[str, object], console: Console) -> tuple[dict[str, object], bool]:
    names = ("envoys", "resources", "changes", "rate", "warm_up")
    load = real.EnvoyLoad(**{name: options[name] for name in names}, body_bytes=corpus.CLUSTER_BYTES)  # type: ignore[arg-type]
    with ExitStack() as stack:
        tls = stack.enter_context(pki.throwaway()) if options["tls"] else None
        status = stack.enter_context(console.status("starting"))
        one = await real.run(LEGATION.module, load, tls, status.update)
    return push_envoys.shown(console, one, int(str(options["seed"])))


def _load(options: Mapping[str, object], **changed: int) -> Load:
    names = ("nodes", "resources", "changes", "rate", "warm_up", "seed", "node_bytes", "pin")
    return Load(**{name: options[name] for name in names} | changed)  # type: ignore[arg-type]


async def _told(console: Console, subject: Subject, pair: int, load: Load, tls: pki.Tls | None) -> Run:
    with console.status(f"{subject.name}, pair {pair + 1}: {load.nodes} nodes, {load.resources} resources"):
        one = await run(subject, pair, load, tls)
    console.print(
        f"{subject.name}, pair {pair + 1}, R = {load.resources}: "
        f"{statistics.fmean(one.cpu_us):.1f} µs of CPU per message, "
        f"last node p50 {one.last_node.ms(50):.1f} ms, generator {one.client['client_share']:.0%} busy, "
        f"others {one.others_share:.0%} of the machine"
    )
    return one


def _summary(runs: Sequence[Run], sweep: Sequence[Run], rng: random.Random) -> dict[str, stats.Estimate]:
    present = {one.subject for one in runs}
    summary = {RATIO: stats.ratio_of_pairs(_paired(runs, LEGATION, FLOOR), rng)}
    if ENGINE.name in present:
        summary["CPU, engine and edge only / floor"] = stats.ratio_of_pairs(_paired(runs, ENGINE, FLOOR), rng)
    if UNTUNED.name in present:
        summary["CPU, legation / untuned floor"] = stats.ratio_of_pairs(_paired(runs, LEGATION, UNTUNED), rng)
    for subject in dict.fromkeys(one.subject for one in sweep):
        samples = {one.load.resources: one.cpu_us for one in sweep if one.subject == subject}
        if len(samples) > 1:
            summary[f"exponent in R, {subject}"] = stats.exponent(samples, rng)
    return summary


def _paired(runs: Sequence[Run], a: Subject, b: Subject) -> list[stats.Pair]:
    found = {(one.subject, one.pair): one.cpu_us for one in runs}
    return [stats.Pair(found[a.name, pair], found[b.name, pair]) for name, pair in found if name == a.name]


def _print(console: Console, runs: Sequence[Run], sweep: Sequence[Run], summary: Mapping[str, stats.Estimate]) -> None:
    first = runs[0]
    load = first.load
    console.print()
    console.print(
        report.table(
            f"push: {load.nodes} nodes, {load.resources} resources of {load.body_bytes} bytes, one changed, "
            f"{load.rate:g} a second, {load.changes} changes a run",
            (
                "server",
                "CPU µs\nmessage",
                "per node ms\np50 / p99 / max",
                "last node ms\np50 / p99 / max",
                "memory\nKB/node",
                "connect CPU\nµs/node",
            ),
            [
                _row(name, [one for one in runs if one.subject == name])
                for name in dict.fromkeys(r.subject for r in runs)
            ],
        )
    )
    if sweep:
        console.print(
            report.table(
                f"growth: {sweep[0].load.nodes} nodes, one of R resources changed",
                ("server", "R", "CPU µs\nmessage", "memory\nKB/node", "last node\np50 ms"),
                [
                    (
                        one.subject,
                        f"{one.load.resources:,}",
                        f"{statistics.fmean(one.cpu_us):.1f}",
                        f"{one.memory_kb:.0f}",
                        f"{one.last_node.ms(50):.1f}",
                    )
                    for one in sweep
                ],
            )
        )
    _print_sent(console, [*runs, *sweep])
    limits = {RATIO: COST_MAX, EXPONENT: EXPONENT_MAX}
    for name, estimate in summary.items():
        if (limit := limits.get(name)) is None:
            console.print(f"{name}: {estimate}")
        else:
            report.target(console, name, str(estimate), f"≤ {limit}", met=estimate.value <= limit)


def _row(name: str, runs: Sequence[Run]) -> tuple[str, ...]:
    per_node, last_node = (merged(getattr(one, kind) for one in runs) for kind in ("per_node", "last_node"))
    return (
        name,
        f"{statistics.fmean(cpu for one in runs for cpu in one.cpu_us):.1f}",
        " / ".join(f"{per_node.ms(p):.1f}" for p in (50, 99, 100)),
        " / ".join(f"{last_node.ms(p):.1f}" for p in (50, 99, 100)),
        f"{statistics.fmean(one.memory_kb for one in runs):.1f}",
        f"{statistics.fmean(one.connect_cpu_us for one in runs):.0f}",
    )


def _print_sent(console: Console, runs: Sequence[Run]) -> None:
    one = runs[0]
    for name in dict.fromkeys(each.subject for each in runs):
        mine = [each for each in runs if each.subject == name]
        counters = [each.client["counters"] for each in mine]
        messages, bytes_in, acknowledged = (
            sum(each[key] for each in counters) for key in ("messages", "bytes_in", "bytes_acknowledged")
        )
        kept = messages / sum(each.load.changes * each.load.nodes for each in mine)
        merged_away = f"; it fell behind and merged changes: {kept:.2f} messages per node and push" if kept < 1 else ""
        console.print(
            f"{name}: {messages:,} responses of {bytes_in / messages:.0f} bytes, acknowledgements of "
            f"{acknowledged / messages:.0f} bytes{merged_away}"
        )
    versions = machine.versions()
    console.print(
        f"first requests with a Node of {one.load.node_bytes:,} bytes; servers run on {one.ready['runtime']}; "
        f"collector: {one.ready['collector']}; grpcio {versions['grpcio']}, Python {versions['python']}, "
        f"seed {one.load.seed}"
    )
    others = max(each.others_share for each in runs)
    if others > OTHERS_MAX:
        console.print(f"the machine was not ours alone: other processes used up to {others:.0%} of it", style="yellow")
