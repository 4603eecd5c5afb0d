"""`legation up`: the control plane in the foreground."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import click
import trio

from legation.cli.options import config_option, settings_from
from legation.cli.program import exit_code
from legation.prepare import locked, prepare
from legation.report import KEK_NOTE
from legation.serve import serve
from legation.settings import Settings
from xds import logs
from xds.errors import LegationError

_log = logging.getLogger(__name__)


@click.command(short_help="Start the control plane.")
@config_option
@click.option("--ready-fd", type=int, metavar="N", help="Write one JSON line to this descriptor when all is ready.")
def up(config: Path | None, ready_fd: int | None) -> int:
    """Start the control plane: signer, ca and xds, each a process of its own.

    They are ready together, started again if one dies, and drained together on SIGTERM or Ctrl-C (a second one kills).
    SIGHUP reads resources and entries again.
    """
    settings = settings_from(config)
    logs.configure("legation", level=settings.log_level, log_format=settings.log_format)
    try:
        clean = run(settings, ready_fd)
    except LegationError as error:
        if settings.log_format != "json":
            raise  # becomes a message for people
        logs.event(_log, logging.ERROR, "failed", error=error)
        return exit_code(error)
    return 0 if clean else 1


def run(settings: Settings, ready_fd: int | None) -> bool:
    """Run it until it is told to end; True if all ended in time. Raises `LegationError`."""
    prepare(settings)
    with locked(settings):
        announce_start(settings)
        return trio.run(serve, settings, time.time, ready_fd)


def announce_start(settings: Settings) -> None:
    """Say what is started, on what, and what the key store's encryption is worth."""
    logs.event(
        _log,
        logging.INFO,
        "starting",
        pid=os.getpid(),
        file=settings.source or "defaults",
        trust_domain=settings.trust_domain,
        data_dir=settings.data_dir,
    )
    if settings.ca_kek is None:
        logs.event(_log, logging.INFO, KEK_NOTE.format(kek=settings.data_dir / "kek"))
