"""`legation status`: what runs, and what each Envoy has and holds."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import click
import trio

from legation.cli.options import config_option, settings_from
from legation.client import fetch_status
from legation.prepare import is_running, read_state
from legation.report import Answer, report
from xds.errors import LocalError

PIPE_WIDTH: Final = 200


@click.command(short_help="Show what runs, and what each Envoy has and holds.")
@config_option
@click.option(
    "--output", "-o", type=click.Choice(["table", "json"]), default="table", help="Table, or JSON for programs."
)
def status(config: Path | None, output: str) -> int:
    """Show processes, connected Envoys, what they acknowledged or rejected, and the certificates they hold.

    Exits with 0 only if all is well: everything runs, no input was refused, no Envoy rejected anything, and every
    certificate is renewed.
    """
    settings = settings_from(config)
    document = report(
        settings,
        running=is_running(settings),
        supervisor=read_state(settings),
        xds=trio.run(ask, settings.xds_socket),
        ca=trio.run(ask, settings.ca_socket),
    )
    if output == "json":
        click.echo(json.dumps(document, indent=2))
    else:
        print_tables(document)
    return 0 if document["ok"] else 1


async def ask(socket: Path) -> Answer:
    """A process's status, or why there is none."""
    try:
        return await fetch_status(socket)
    except LocalError as error:
        return str(error)


def print_tables(document: dict[str, Any]) -> None:
    """For people, and wide enough for `grep` where there is no terminal."""
    from legation.render import show, terminal  # noqa: PLC0415 (rich, which programs do not need)

    console = terminal()
    if not console.is_terminal:
        console.width = max(console.width, PIPE_WIDTH)
    show(console, document, time.time())
