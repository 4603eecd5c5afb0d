"""The status document as tables for people (rich)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from legation.durations import format_duration
from legation.report import nodes

VERSION_CHARS = 8
SERIAL_CHARS = 12


def show(console: Console, document: dict[str, Any], now: float) -> None:
    """Tables, then sentences: what is wrong comes last, where people look, in lines that can be searched and copied."""
    if document["processes"]:
        console.print(_processes(document, now))
    if "error" not in document["xds"]:
        console.print(_resources(document), _nodes(document), sep="\n")
    if "error" not in document["ca"]:
        console.print(_certificates(document, now))
    for note in document["notes"]:
        console.print(Text(note, style="dim"), soft_wrap=True)
    for problem in document["problems"]:
        console.print(Text(f"✗ {problem}", style="red"), soft_wrap=True)
    if document["ok"]:
        console.print(Text("✓ the control plane is up", style="green"))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _processes(document: dict[str, Any], now: float) -> Table:
    table = _table("Processes", "NAME", "STATE", "PID", "FOR", "RESTARTS", "LISTENS ON", "HEALTH, METRICS", "LAST END")
    for process in document["processes"]:
        table.add_row(
            process["name"],
            _mark(process["state"] == "ready", process["state"]),
            str(process["pid"] or "-"),
            format_duration(now - process["since"]),
            str(process["restarts"]),
            process.get("listen") or "-",
            process.get("http") or "-",
            process["last_exit"] or "-",
        )
    return table


def _resources(document: dict[str, Any]) -> Text:
    source = document["xds"].get("source")
    if not source:
        return Text("")
    change = document["xds"].get("change", "-")
    return Text(f"\n{source['resources']} resources in {source['files']} files of {source['path']}, change {change}\n")


def _nodes(document: dict[str, Any]) -> Table:
    table = _table("Envoys: what each has acknowledged", "NODE", "TYPE", "ACKNOWLEDGED", "CURRENT", "LAST REJECTION")
    for node in nodes(document):
        streams = node.get("xds", {}).get("types", [])
        for index, row in enumerate(streams):
            live = row["acked"] == row["current"]
            table.add_row(
                node["node"] if index == 0 else "",
                row["type"],
                _mark(live, _short(row["acked"])),
                _short(row["current"]),
                _rejection(row["rejection"]),
            )
        if not streams:
            table.add_row(node["node"], "-", Text("not connected to xds", style="yellow"), "-", "-")
    if not table.row_count:
        table.add_row(Text("no Envoy is connected", style="dim"))
    return table


def _certificates(document: dict[str, Any], now: float) -> Table:
    columns = ("NODE", "NAME", "SPIFFE ID", "SERIAL", "AGE", "ENDS IN", "ROTATES IN", "ROTATIONS", "HELD")
    table = _table("\nCertificates", *columns)
    for certificate in document["ca"].get("certificates", []):
        table.add_row(
            certificate["node"],
            certificate["name"],
            certificate["spiffe_id"],
            (certificate["serial"] or "-")[:SERIAL_CHARS],
            _span(certificate["issued_at"], lambda then: now - then),
            _span(certificate["not_after"], lambda then: then - now),
            _span(certificate["rotate_at"], lambda then: then - now),
            str(certificate["rotations"]),
            _held(certificate),
        )
    return table


def _held(certificate: dict[str, Any]) -> Text:
    """Issued is not held: what the Envoy acknowledged decides."""
    if certificate.get("last_rejection"):
        return Text("✗ rejected", style="red")
    return _mark(bool(certificate["acked"]), "yes" if certificate["acked"] else "not yet")


def _mark(good: bool, text: str) -> Text:  # noqa: FBT001 (private, two places)
    return Text(("✓ " if good else "… ") + text, style="green" if good else "yellow")


def _short(version: str | None) -> str:
    return (version or "-")[:VERSION_CHARS]


def _rejection(rejection: dict[str, Any] | None) -> Text:
    if not rejection:
        return Text("-")
    names = ", ".join(rejection.get("names") or rejection.get("resources") or [])
    source = f" ({rejection['source']})" if rejection.get("source") else ""
    return Text(f"{names}{source}: {rejection.get('message', '')}", style="red")


def _span(when: object, distance: Callable[[float], float]) -> str:
    moment = epoch(when)
    return "-" if moment is None else format_duration(distance(moment))


def epoch(when: object) -> float | None:
    """Seconds since the epoch, from a number or an ISO 8601 text."""
    if isinstance(when, int | float):
        return float(when)
    if isinstance(when, str) and when:
        moment = datetime.fromisoformat(when)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return None
