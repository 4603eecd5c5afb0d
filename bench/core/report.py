"""Results for people (a table on the terminal) and for programs (one JSON file)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.core import machine
from bench.core.gates import Gate, failed

FORMAT = 1
"""Of the result file; grows when a reader would have to know."""


def header(scenario: str, options: Mapping[str, object]) -> dict[str, object]:
    """What each result file begins with."""
    return {
        "format": FORMAT,
        "scenario": scenario,
        "started": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "options": dict(options),
        "machine": machine.describe(),
        "versions": machine.versions(),
    }


def save(path: Path, result: Mapping[str, object]) -> None:
    """Write a result file."""
    path.write_text(json.dumps(result, indent=1, sort_keys=True, default=str) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose first column is text and whose others are figures."""
    made = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left")
    for row in rows:
        made.add_row(*row)
    return made


def verdict(console: Console, gates: Sequence[Gate]) -> bool:
    """Say whether the figures count; True if they do."""
    bad = failed(gates)
    if not bad:
        console.print(f"[green]valid[/green]: {len(gates)} gates passed")
        return True
    console.print(f"[red]failed[/red]: {len(bad)} of {len(gates)} gates; the figures above do not count")
    for gate in bad:
        console.print(f"  {gate.run}: {gate.name}: {gate.detail}", markup=False)
    return False


def target(console: Console, name: str, value: str, limit: str, *, met: bool) -> None:
    """One target beside what was measured."""
    word = "[green]met[/green]" if met else "[red]missed[/red]"
    console.print(f"{name}: {value}, target {limit}: {word}")
