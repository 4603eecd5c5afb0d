"""What `legation status -o json` says, asked of the admin sockets themselves: no interpreter starts for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fakes.ca_processes import get
from legation.prepare import is_running, read_state
from legation.report import Answer, report
from legation.settings import Settings


def status(settings: Settings) -> dict[str, Any]:
    """The document; `ok` is what the command's exit code says."""
    return report(
        settings,
        running=is_running(settings),
        supervisor=read_state(settings),
        xds=ask(settings.xds_socket),
        ca=ask(settings.ca_socket),
    )


def ask(socket: Path) -> Answer:
    try:
        return json.loads(get(socket, "/v1/status"))
    except OSError as error:
        return str(error)
