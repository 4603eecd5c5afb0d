"""`legation up`: the control plane in the foreground."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import click
import trio

from legation.cli.options import config_option, settings_from
from legation.prepare import locked, prepare
from legation.report import KEK_NOTE
from legation.serve import serve
from legation.settings import Settings
from xds import logs

_log = logging.getLogger(__name__)


@click.command
@config_option
@click.option("--ready-fd", type=int, metavar="N", help="Write one JSON line to this descriptor when all is ready.")
def up(config: Path | None, ready_fd: int | None) -> int:
    """Start the control plane: signer, ca and xds, each a process of its own.

    They are ready together, started again if one dies, and drained together on SIGTERM or Ctrl-C (a second one kills).
    SIGHUP reads resources and entries again.
    """
    settings = settings_from(config)
    prepare(settings)
    logs.configure("legation", level=settings.log_level, log_format=settings.log_format)
    with locked(settings):
        announce_start(settings)
        clean = trio.run(serve, settings, time.time, ready_fd)
    return 0 if clean else 1


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
