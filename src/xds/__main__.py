"""`python -m xds`: the management server as a process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from xds import logs
from xds.control.handshake import Bound, ready_line
from xds.edge import guest
from xds.errors import LegationError
from xds.hardening import harden
from xds.process import add_common_arguments, announce, check_common_arguments, explain
from xds.server import Settings, serve


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m xds", description="Legation's management server", allow_abbrev=False
    )
    parser.add_argument("--resources", type=Path, required=True, help="directory of resource files")
    parser.add_argument("--listen", help="host:port for mTLS")
    parser.add_argument("--tls", type=Path, help="directory with `current`, a symlink to {cert,key,ca}.pem")
    parser.add_argument("--plaintext", help="host:port without TLS; loopback only")
    parser.add_argument("--http", help="host:port of health and metrics")
    parser.add_argument("--admin-socket", type=Path, help="Unix socket of the admin API")
    parser.add_argument("--connection-age-s", type=float, help="end every mTLS connection at this age")
    add_common_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the process; returns its exit code: 0, 1 failed, 2 usage or configuration."""
    options = arguments().parse_args(argv)
    warnings = harden(lock_memory=False)  # it holds its listener's key and a fleet's configuration
    logs.configure("xds", level=options.log_level, log_format=options.log_format)
    for warning in warnings:
        logs.event(logging.getLogger(__name__), logging.WARNING, warning)

    def on_ready(bound: Bound) -> None:
        announce(options.ready_fd, ready_line(bound, os.getpid()))

    try:
        guest.run(partial(serve, settings_of(options), on_ready=on_ready))
    except (LegationError, ExceptionGroup) as error:
        return explain(error)
    return 0


def settings_of(options: argparse.Namespace) -> Settings:
    """The command line, checked. Raises `ConfigError`."""
    check_common_arguments(options)
    return Settings(
        trust_domain=options.trust_domain,
        resources=options.resources,
        listen=options.listen,
        tls=options.tls,
        plaintext=options.plaintext,
        http=options.http,
        admin_socket=options.admin_socket,
        connection_age_s=options.connection_age_s,
    )


if __name__ == "__main__":
    sys.exit(main())
