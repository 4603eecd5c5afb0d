"""`python -m ca.signer`: the process that holds the keys of the authority. Wiring, signals and exit codes."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from ca import clock
from ca.errors import LegationError
from ca.identity.lifetimes import Lifetimes
from ca.signer import files, listener
from ca.signer.authority import OWN_KEK_WARNING, Setting, open_authority
from ca.signer.journal import Journal
from ca.signer.service import Service
from ca.signer.verbs import Verbs
from xds import logs
from xds.hardening import harden
from xds.limits import DRAIN_S
from xds.process import add_common_arguments, announce, check_common_arguments, explain, follow_signals, ready_line

log = logging.getLogger("ca.signer")

TICK_S_MAX: Final = 10.0
"""How often the clock is asked whether the intermediate is due (sooner where it lives shortly)."""

TICKS_PER_LIFE: Final = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the signer; returns the exit code: 0, 1 failed, 2 usage or configuration."""
    options = _parser().parse_args(arguments)
    logs.configure("signer", level=options.log_level, log_format=options.log_format)
    try:
        check_common_arguments(options)
        for warning in harden():
            logs.event(log, logging.WARNING, warning)
        _run(options)
    except (LegationError, OSError, ExceptionGroup) as error:
        return explain(error, (LegationError, OSError))
    return 0


def _parser() -> argparse.ArgumentParser:
    standard = Lifetimes()
    parser = argparse.ArgumentParser(
        prog="python -m ca.signer", description="Holds the keys of the authority and signs."
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="key store, journal and key-encryption key")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to serve, in a 0700 directory")
    parser.add_argument("--leaf-ttl-s", type=int, default=standard.leaf_s, help="life of a leaf unless asked otherwise")
    parser.add_argument("--intermediate-ttl-s", type=int, default=standard.intermediate_s)
    parser.add_argument("--root-ttl-s", type=int, default=standard.root_s)
    parser.add_argument(
        "--node-ttl-s", type=int, default=standard.node_s, help="life of nodes' and servers' certificates"
    )
    parser.add_argument("--backdate-s", type=int, default=standard.backdate_s, help="10 to 300: what clocks may differ")
    parser.add_argument("--kek", type=Path, help="key-encryption key: a 0600 file of 64 hexadecimal digits")
    add_common_arguments(parser)
    return parser


def _run(options: argparse.Namespace) -> None:
    setting = _setting(options)
    files.make_directory(setting.data_dir, private=False)
    lock = files.lock(setting.data_dir / "lock")
    try:
        service = _service(setting)
        trio.run(_serve, service, options.socket, options.ready_fd, strict_exception_groups=True)
    finally:
        os.close(lock)


def _setting(options: argparse.Namespace) -> Setting:
    lifetimes = Lifetimes(
        leaf_s=options.leaf_ttl_s,
        intermediate_s=options.intermediate_ttl_s,
        root_s=options.root_ttl_s,
        node_s=options.node_ttl_s,
        backdate_s=options.backdate_s,
    ).checked()
    return Setting(options.data_dir, options.trust_domain, lifetimes, options.kek)


def _service(setting: Setting) -> Service:
    journal = Journal(setting.data_dir / "journal", clock.system)
    authority, kek_source = open_authority(setting, journal, clock.system())
    if setting.kek is None:
        logs.event(
            log,
            logging.WARNING,
            f"the key-encryption key was made here: {OWN_KEK_WARNING}",
            file=setting.data_dir / "kek",
        )
    verbs = Verbs(authority, setting.trust_domain, setting.lifetimes, journal.rows())
    tick_s = min(TICK_S_MAX, setting.lifetimes.intermediate_s / TICKS_PER_LIFE)
    return Service(verbs, clock.system, kek_source=kek_source, tick_s=tick_s)


async def _serve(service: Service, path: Path, ready_fd: int | None) -> None:
    bound = listener.listen(path)
    shutdown = trio.Event()
    try:
        async with trio.open_nursery() as everything:
            await everything.start(follow_signals, shutdown, _nothing_to_read)
            everything.start_soon(_drain, shutdown, service, everything.cancel_scope)
            async with trio.open_nursery() as serving:
                await serving.start(service.serve, trio.SocketListener(trio.socket.from_stdlib_socket(bound)))
                logs.event(log, logging.INFO, "ready", file=path)
                announce(ready_fd, ready_line(os.getpid(), listen=str(path)))
            everything.cancel_scope.cancel()
    finally:
        listener.remove(path)


def _nothing_to_read() -> None:
    logs.event(log, logging.INFO, "nothing to read again: the signer has no files that change")


async def _drain(shutdown: trio.Event, service: Service, everything: trio.CancelScope) -> None:
    await shutdown.wait()
    logs.event(log, logging.INFO, "draining")
    service.drain()
    await trio.sleep(DRAIN_S)
    everything.cancel()


if __name__ == "__main__":
    raise SystemExit(main())
