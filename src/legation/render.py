"""The status document as tables for people (rich)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from legation.durations import format_duration
from legation.report import count, is_live, nodes, plain, plain_lines

VERSION_CHARS = 8
SERIAL_CHARS = 12
NARROW = 100
"""On a terminal with fewer columns the tables leave out what is rarely asked for; `-o json` has everything."""


def terminal() -> Console:
    """A console that takes text for text: no markup, no emoji, no links."""
    return Console(markup=False, emoji=False, highlight=False)


def cell(value: object, style: str = "") -> Text:
    """The only way into a table or a line: escaped, and never read as markup."""
    return Text(plain(value), style=style)


def show(console: Console, document: dict[str, Any], now: float) -> None:
    """Tables, then sentences: what is wrong comes last, where people look, in lines that can be searched and copied."""
    narrow = console.width < NARROW
    if document["processes"]:
        console.print(_processes(document, now, narrow=narrow))
    if "error" not in document["xds"]:
        console.print(_resources(document), soft_wrap=True)
        console.print(_nodes(document))
    if "error" not in document["ca"]:
        console.print(_certificates(document, now, narrow=narrow))
    for note in document["notes"]:
        console.print(cell(note, "dim"), soft_wrap=not console.is_terminal)
    for problem in document["problems"]:
        console.print(Text(plain_lines(f"✗ {problem}"), style="red"), soft_wrap=True)
    if document["ok"]:
        console.print(Text("✓ the control plane is up", style="green"))


def _table(title: str, *columns: str, elastic: Collection[str]) -> Table:
    """No cell is wrapped; where there is no room, the elastic columns are cut, visibly."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="ellipsis", no_wrap=column not in elastic)
    return table


def _processes(document: dict[str, Any], now: float, *, narrow: bool) -> Table:
    rows = [_process(process, document["data_dir"], now) for process in document["processes"]]
    hidden = set()
    if narrow:
        hidden = {"HEALTH, METRICS"} if any(row["LAST END"].plain != "-" for row in rows) else {"LAST END"}
    columns = [column for column in rows[0] if column not in hidden]
    table = _table("Processes", *columns, elastic={"LISTENS ON"})
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    return table


def _process(process: dict[str, Any], data_dir: str, now: float) -> dict[str, Text]:
    return {
        "NAME": cell(process["name"]),
        "STATE": _mark(process["state"] == "ready", process["state"]),
        "PID": cell(process["pid"] or "-"),
        "FOR": cell(format_duration(now - process["since"])),
        "RESTARTS": cell(process["restarts"]),
        "LISTENS ON": cell((process.get("listen") or "-").removeprefix(data_dir + "/")),
        "HEALTH, METRICS": cell(process.get("http") or "-"),
        "LAST END": cell(process["last_exit"] or "-"),
    }


def _resources(document: dict[str, Any]) -> Text:
    source = document["xds"].get("source")
    if not source:
        return Text("")
    change = document["xds"].get("change", "-")
    what = f"{count(source['resources'], 'resource')} in {count(source['files'], 'file')} of {source['path']}"
    return Text(f"\n{plain(what)}, change {plain(change)}\n")


def _nodes(document: dict[str, Any]) -> Table:
    columns = ("NODE", "TYPE", "ACKNOWLEDGED", "SHOULD HAVE")
    table = _table("Envoys: what each has acknowledged", *columns, elastic={"NODE"})
    for node in nodes(document):
        types = node.get("xds", {}).get("types", [])
        for index, row in enumerate(types):
            live = is_live(row)
            table.add_row(
                cell(node["node"] if index == 0 else ""),
                cell(row["type"]),
                _rejected(_short(row["acked"])) if row["rejection"] else _mark(live, _short(row["acked"])),
                cell(_short(row["acked"] if live else row["current"])),
            )
        if not types:
            table.add_row(cell(node["node"]), cell("-"), cell("not connected to xds", "yellow"), cell("-"))
    if not table.row_count:
        table.add_row(cell("no Envoy is connected", "dim"))
    return table


def _certificates(document: dict[str, Any], now: float, *, narrow: bool) -> Table:
    hidden = {"NAME", "ROTATIONS"} if narrow else set()
    names = ("NODE", "NAME", "SPIFFE ID", "SERIAL", "AGE", "ENDS IN", "ROTATES IN", "ROTATIONS", "HELD")
    columns = [column for column in names if column not in hidden]
    table = _table("\nCertificates", *columns, elastic={"NODE", "SPIFFE ID"})
    for certificate in document["ca"].get("certificates", []):
        row = dict(zip(names, _certificate(certificate, now), strict=True))
        table.add_row(*(row[column] for column in columns))
    if not table.row_count:
        table.add_row(cell("none", "dim"))
    return table


def _certificate(certificate: dict[str, Any], now: float) -> tuple[Text, ...]:
    return (
        cell(certificate["node"]),
        cell(certificate["name"]),
        cell(certificate["spiffe_id"]),
        cell((certificate["serial"] or "-")[:SERIAL_CHARS]),
        _span(certificate["issued_at"], lambda then: now - then),
        _span(certificate["not_after"], lambda then: then - now),
        _span(certificate["rotate_at"], lambda then: then - now),
        cell(certificate["rotations"]),
        _held(certificate),
    )


def _held(certificate: dict[str, Any]) -> Text:
    """Issued is not held: what the Envoy acknowledged decides."""
    if certificate.get("last_rejection"):
        return _rejected("rejected")
    if certificate.get("withdrawn"):
        return cell("… withdrawn", "yellow")
    if certificate.get("paused"):
        return cell("… not connected", "yellow")
    return _mark(bool(certificate["acked"]), "yes" if certificate["acked"] else "not yet")


def _mark(good: bool, text: str) -> Text:  # noqa: FBT001 (private, two places)
    return cell(("✓ " if good else "… ") + text, "green" if good else "yellow")


def _short(version: str | None) -> str:
    return (version or "-")[:VERSION_CHARS]


def _rejected(text: str) -> Text:
    return cell(f"✗ {text}", "red")


def _span(when: object, distance: Callable[[float], float]) -> Text:
    moment = epoch(when)
    return cell("-" if moment is None else format_duration(distance(moment)))


def epoch(when: object) -> float | None:
    """Seconds since the epoch, from a number or an ISO 8601 text; None if it is neither."""
    if isinstance(when, int | float):
        return float(when)
    if isinstance(when, str) and when:
        try:
            moment = datetime.fromisoformat(when)
        except ValueError:
            return None
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    return None
