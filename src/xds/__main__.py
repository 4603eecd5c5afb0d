"""`python -m xds`: the management server as a process."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from xds import logs
from xds.control.handshake import Bound, announce, ready_line
from xds.edge import guest
from xds.errors import ConfigError, LegationError, LocalError
from xds.names import InvalidSpiffeId, check_trust_domain
from xds.server import Settings, serve


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m xds", description="Legation's management server", allow_abbrev=False
    )
    parser.add_argument("--resources", type=Path, required=True, help="directory of resource files")
    parser.add_argument("--trust-domain", required=True)
    parser.add_argument("--listen", help="host:port for mTLS")
    parser.add_argument("--tls", type=Path, help="directory with `current`, a symlink to {cert,key,ca}.pem")
    parser.add_argument("--plaintext", help="host:port without TLS; loopback only")
    parser.add_argument("--http", help="host:port of health and metrics")
    parser.add_argument("--admin-socket", type=Path, help="Unix socket of the admin API")
    parser.add_argument("--connection-age-s", type=float, help="end every mTLS connection at this age")
    parser.add_argument("--log-level", choices=logs.LEVELS, default="info")
    parser.add_argument("--log-format", choices=logs.FORMATS, default="text")
    parser.add_argument("--ready-fd", type=int, help="descriptor on which to say that the process serves")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the process; returns its exit code: 0, 1 failed, 2 usage or configuration."""
    options = arguments().parse_args(argv)
    logs.configure("xds", level=options.log_level, log_format=options.log_format)

    def on_ready(bound: Bound) -> None:
        if options.ready_fd is not None:
            announce(options.ready_fd, ready_line(bound, os.getpid()))

    try:
        guest.run(partial(serve, settings_of(options), on_ready=on_ready))
    except (LegationError, ExceptionGroup) as error:
        return explain(error)
    return 0


def settings_of(options: argparse.Namespace) -> Settings:
    """The command line, checked. Raises `ConfigError`."""
    if sys.platform != "linux":
        raise ConfigError("Legation runs on Linux only")
    try:
        check_trust_domain(options.trust_domain)
    except InvalidSpiffeId as error:
        raise ConfigError(f"--trust-domain: {error}") from None
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


def explain(error: Exception) -> int:
    """Say what went wrong, and return the exit code for it."""
    leaves = list(_leaves(error))
    if not all(isinstance(leaf, LegationError) for leaf in leaves):
        traceback.print_exception(error)
        return 1
    log = logging.getLogger(__name__)
    for leaf in leaves:
        logs.event(log, logging.ERROR, "failed", error=leaf)
    local = any(isinstance(leaf, LocalError) for leaf in leaves)
    return 1 if local else 2


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


if __name__ == "__main__":
    sys.exit(main())
