"""`python -m ca.signer`: the process that holds the keys of the authority. Wiring, signals and exit codes."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from ca import clock
from ca.errors import ConfigError, LegationError
from ca.hardening import harden
from ca.identity.lifetimes import Lifetimes
from ca.identity.spiffe import InvalidSpiffeId, check_trust_domain
from ca.signer import files, listener
from ca.signer.authority import OWN_KEK_WARNING, Setting, open_authority
from ca.signer.journal import Journal
from ca.signer.service import Service
from ca.signer.verbs import Verbs
from xds import logs
from xds.limits import DRAIN_S

log = logging.getLogger("ca.signer")

TICK_S_MAX: Final = 10.0
"""How often the clock is asked whether the intermediate is due (sooner where it lives shortly)."""

TICKS_PER_LIFE: Final = 60


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the signer; returns the exit code: 0, 1 failed, 2 usage or configuration."""
    if sys.platform != "linux":
        sys.stderr.write("the signer runs on Linux only: it needs the kernel's word about who connects\n")
        return 2
    options = _parser().parse_args(arguments)
    warnings = harden()
    logs.configure("signer", level=options.log_level, log_format=options.log_format)
    try:
        for warning in warnings:
            logs.event(log, logging.WARNING, warning)
        _run(options)
    except ConfigError as error:
        sys.stderr.write(f"signer: {error}\n")
        return 2
    except (LegationError, OSError) as error:
        sys.stderr.write(f"signer: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    standard = Lifetimes()
    parser = argparse.ArgumentParser(
        prog="python -m ca.signer", description="Holds the keys of the authority and signs."
    )
    parser.add_argument("--data-dir", type=Path, required=True, help="key store, journal and key-encryption key")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to serve, in a 0700 directory")
    parser.add_argument("--trust-domain", required=True, help="for instance legation.local")
    parser.add_argument("--leaf-ttl-s", type=int, default=standard.leaf_s, help="life of a leaf unless asked otherwise")
    parser.add_argument("--intermediate-ttl-s", type=int, default=standard.intermediate_s)
    parser.add_argument("--root-ttl-s", type=int, default=standard.root_s)
    parser.add_argument(
        "--node-ttl-s", type=int, default=standard.node_s, help="life of nodes' and servers' certificates"
    )
    parser.add_argument("--backdate-s", type=int, default=standard.backdate_s, help="10 to 300: what clocks may differ")
    parser.add_argument("--kek", type=Path, help="key-encryption key: a 0600 file of 64 hexadecimal digits")
    parser.add_argument("--log-level", choices=logs.LEVELS, default="info")
    parser.add_argument("--log-format", choices=logs.FORMATS, default="text")
    parser.add_argument("--ready-fd", type=int, help="descriptor that gets one JSON line when ready")
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
    try:
        check_trust_domain(options.trust_domain)
    except InvalidSpiffeId as error:
        raise ConfigError(f"--trust-domain: {error}") from None
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
    try:
        async with trio.open_nursery() as everything:
            await everything.start(_drain_on_signal, service, everything.cancel_scope)
            async with trio.open_nursery() as serving:
                await serving.start(service.serve, trio.SocketListener(trio.socket.from_stdlib_socket(bound)))
                _announce(path, ready_fd)
            everything.cancel_scope.cancel()
    finally:
        listener.remove(path)


async def _drain_on_signal(
    service: Service, everything: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        task_status.started()
        async for number in signals:
            if number != signal.SIGHUP:
                break
            logs.event(log, logging.INFO, "nothing to read again: the signer has no files that change")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)  # a second one kills
    logs.event(log, logging.INFO, "draining")
    service.drain()
    await trio.sleep(DRAIN_S)
    everything.cancel()


def _announce(path: Path, ready_fd: int | None) -> None:
    logs.event(log, logging.INFO, "ready", file=path)
    if ready_fd is None:
        return
    line = json.dumps({"ready": True, "listen": str(path), "pid": os.getpid()}) + "\n"
    with contextlib.suppress(BrokenPipeError):
        os.write(ready_fd, line.encode())
    os.close(ready_fd)


if __name__ == "__main__":
    raise SystemExit(main())
