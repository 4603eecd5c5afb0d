"""What the demo shows while it runs, and what it says at its end (rich)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from legation.demo.tally import Handshakes, Requests, Tally
from legation.demo.workspace import TRUST_DOMAIN, Workspace
from legation.durations import format_duration
from legation.render import cell
from legation.report import plain, plain_lines, sentence

SERIAL_CHARS = 16
VERSION_CHARS = 8


def introduction(workspace: Workspace, legation: str = "legation") -> Text:
    """What runs where, and what to try next. To be printed without wrapping: people copy from it."""
    port = workspace.ports
    tries = (
        ("through both Envoys", f"curl -i http://127.0.0.1:{port['web_http']}/"),
        ("refused: a genuine certificate, but not web's", f"curl -i http://127.0.0.1:{port['stranger_http']}/"),
        ("change GREETING and save: the next curl shows it", f"$EDITOR {workspace.root}/resources/web_route.py"),
        ("who acknowledged what, and holds what", f"{legation} status --config {workspace.root}/legation.yaml"),
        ("any of xds, ca, signer (status shows the PIDs): no request fails", "kill -9 PID"),
        (
            f"metrics of xds; those of ca are on port {port['http_ca']}",
            f"curl http://127.0.0.1:{port['http_xds']}/metrics",
        ),
        ("what the processes and the Envoys say", f"tail -f {workspace.log}"),
    )
    text = Text().append("client → web's Envoy → mTLS → api's Envoy (RBAC: only web) → app\n", style="bold")
    text.append(f"All of it lives in {workspace.root} and is removed at the end. Ctrl-C ends the demo.\n\n")
    text.append("Try in a second terminal\n", style="bold")
    for why, command in tries:
        text.append(f"  # {plain(why)}\n  ").append(plain(command), style="cyan").append("\n")
    return text


def live(
    tally: Tally, answers: dict[str, Any], processes: Sequence[dict[str, Any]], now: float, wall: float
) -> RenderableType:
    """The table that changes."""
    return Group(_requests(tally), _envoys(tally, answers, now, wall), _processes(processes))


def _requests(tally: Tally) -> Table:
    table = Table(title="Requests", title_justify="left", expand=False)
    for column in ("TRAFFIC", "EXPECTED", "AS EXPECTED", "FAILED"):
        table.add_column(column)
    kinds: tuple[tuple[str, Requests], ...] = (
        ("kept-alive connection", tally.kept),
        ("a new connection each", tally.new),
        (f"stranger (spiffe://{TRUST_DOMAIN}/api)", tally.stranger),
    )
    for name, requests in kinds:
        failed = cell(requests.bad, "bold red" if requests.bad else "green")
        table.add_row(cell(name), cell(requests.expected), cell(requests.good), failed)
    return table


def _envoys(tally: Tally, answers: dict[str, Any], now: float, wall: float) -> Table:
    table = Table(title="Envoys, as seen in TLS handshakes", title_justify="left", expand=False)
    for column in ("ENVOY", "SERIAL", "AGE", "ENDS IN", "ROTATIONS", "HANDSHAKES", "ACKNOWLEDGED", "LAST REJECTION"):
        table.add_column(column)
    for name, seen in tally.envoys.items():
        counts = (seen.rotations, seen.handshakes)
        values = (name, *_certificate(seen, now, wall), *counts, *_acknowledged(answers, name))
        table.add_row(*(cell(value) for value in values))
    return table


def _certificate(seen: Handshakes, now: float, wall: float) -> tuple[str, str, str]:
    if seen.shown is None:
        return "-", "-", "-"
    left = seen.shown.not_after.timestamp() - wall
    return seen.shown.serial[:SERIAL_CHARS], format_duration(now - seen.since), format_duration(left)


def _acknowledged(answers: dict[str, Any], node: str) -> tuple[str, str]:
    """Per type the acknowledged version, and the serial that was acknowledged; and the last rejection."""
    parts, rejections = [], []
    for row in answers.get("xds", {}).get("nodes", []):
        if row["node"] == node:
            parts += [f"{kind['type']} {(kind['acked'] or '-')[:VERSION_CHARS]}" for kind in row["types"]]
            rejections += [
                sentence(str(kind["rejection"].get("message", ""))) for kind in row["types"] if kind["rejection"]
            ]
    for row in answers.get("ca", {}).get("certificates", []):
        if row["node"] == node and row.get("acked_serial"):
            parts.append(f"SVID {row['acked_serial'][:VERSION_CHARS]}")
    return " ".join(parts) or "-", rejections[-1] if rejections else "-"


def _processes(processes: Sequence[dict[str, Any]]) -> Text:
    text = Text("Processes: ")
    for process in processes:
        ready = process["state"] == "ready"
        text.append(
            plain(f"{process['name']} {process['pid'] or process['state']}"), style="green" if ready else "yellow"
        )
        text.append(f" ({process['restarts']} restarts)  " if process["restarts"] else "  ")
    return text


def progress(tally: Tally, when: datetime) -> str:
    """One line, for where there is no terminal."""
    envoys = ", ".join(f"{name} {seen.rotations} rotations" for name, seen in tally.envoys.items())
    good, bad = tally.kept.good + tally.new.good, tally.kept.bad + tally.new.bad
    return f"{when:%H:%M:%S} {good} requests ok, {bad} failed, {tally.stranger.good} of a stranger refused; {envoys}"


def conclusion(tally: Tally, failures: Sequence[str]) -> RenderableType:
    """The verdict."""
    if failures:
        return Group(
            Text("✗ The demo failed:", style="bold red"), *(Text("  " + plain_lines(line)) for line in failures)
        )
    good = tally.kept.good + tally.new.good
    rotations = ", ".join(f"{name} {seen.rotations}" for name, seen in tally.envoys.items())
    return Text(
        f"✓ {good} requests ok, 0 failed; {tally.stranger.good} of a stranger refused; "
        f"rotations seen in handshakes: {rotations}",
        style="bold green",
    )
