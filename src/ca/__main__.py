"""`python -m ca`: entries, the nodes' secrets and SDS, as a process. The CA keys are in another one, the signer."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ca.errors import LegationError
from ca.server.process import Bound, Settings, serve
from xds import logs
from xds.edge import guest
from xds.hardening import harden
from xds.process import add_common_arguments, announce, check_common_arguments, explain, ready_line


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ca", description="Legation's secret server", allow_abbrev=False)
    parser.add_argument("--run-dir", type=Path, required=True, help="gets xds/current, the files of the xds process")
    parser.add_argument("--entries", type=Path, required=True, help="directory of registration entries")
    parser.add_argument("--signer-socket", type=Path, required=True, help="Unix socket of the signer")
    parser.add_argument("--listen", required=True, help="host:port of SDS, mTLS")
    parser.add_argument("--server-name", action="append", default=[], help="DNS name or IP address of our servers")
    parser.add_argument(
        "--ttl-max-s", type=int, help="the longest life that an entry may ask for: what the signer allows"
    )
    parser.add_argument("--http", help="host:port of health and metrics")
    parser.add_argument("--admin-socket", type=Path, help="Unix socket of the admin API")
    add_common_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the process; returns its exit code: 0, 1 failed, 2 usage or configuration."""
    options = arguments().parse_args(argv)
    logs.configure("ca", level=options.log_level, log_format=options.log_format)

    def on_ready(bound: Bound) -> None:
        line = ready_line(os.getpid(), listen=bound.listen, http=bound.http, admin=bound.admin)
        announce(options.ready_fd, line)

    try:
        check_common_arguments(options)
        for warning in harden():
            logs.event(logging.getLogger(__name__), logging.WARNING, warning)
        guest.run(partial(serve, settings_of(options), on_ready=on_ready))
    except (LegationError, ExceptionGroup) as error:
        return explain(error)
    return 0


def settings_of(options: argparse.Namespace) -> Settings:
    """The command line as a value."""
    return Settings(
        trust_domain=options.trust_domain,
        run_dir=options.run_dir,
        entries=options.entries,
        signer_socket=options.signer_socket,
        listen=options.listen,
        server_names=tuple(options.server_name),
        http=options.http,
        admin_socket=options.admin_socket,
        ttl_max_s=options.ttl_max_s,
    )


if __name__ == "__main__":
    sys.exit(main())
