"""`python -m ca.enroll`: writes a node's certificate files, with access to the signer; `--renew` keeps them fresh."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Coroutine, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from ca import clock
from ca.enroll_files import NodeFiles, enrolled
from ca.errors import ConfigError, LegationError
from ca.svid.directory import make_private
from ca.svid.holder import Holder
from ca.svid.issuing import Issuer
from ca.svid.lifecycle import boot_time_s
from ca.svid.order import Order
from ca.svid.rotator import Rotator
from ca.svid.signer_client import SignerClient
from ca.svid.trust import Trust
from xds import logs
from xds.hardening import harden
from xds.names import InvalidSpiffeId
from xds.process import add_common_arguments, announce, check_common_arguments, explain, follow_signals, ready_line

SIGNER_PATIENCE_S: Final = 15.0
SCAN_S: Final = 3.0
"""How soon a node that another process enrolled, or a changed bundle, is noticed."""

log = logging.getLogger("ca.enroll")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    trust_domain: str
    out: Path
    signer_socket: Path
    node: str | None
    """None: every node that was enrolled below `out`."""

    def order(self, name: str) -> Order:
        """What a node of that name needs. Raises `ConfigError`."""
        try:
            return Order.of_node(self.trust_domain, name)
        except InvalidSpiffeId as error:
            raise ConfigError(f"--node: {error}") from None


async def enroll(settings: Settings, name: str) -> NodeFiles:
    """Write the node's files once."""
    order = settings.order(name)
    make_private(settings.out)
    client, trust = SignerClient(settings.signer_socket), Trust(settings.trust_domain)
    state = await client.wait_there(SIGNER_PATIENCE_S)
    trust.learn(state.bundle)
    holder = await Issuer(client, trust, clock.system).issue(order)
    files = NodeFiles(settings.out, settings.trust_domain, name)
    files.write(holder, trust.bundle.pem)
    await client.close()
    logs.event(log, logging.INFO, "enrolled", node=name, file=files.path, serial=holder.serial)
    return files


class Renewer:
    """Keeps the files of nodes fresh: a listener of the rotator."""

    def __init__(self, settings: Settings, issuer: Issuer, trust: Trust, rotator: Rotator) -> None:
        self._settings = settings
        self._issuer = issuer
        self._trust = trust
        self._rotator = rotator
        self._files: dict[str, NodeFiles] = {}
        self._unwritten: dict[str, Holder] = {}
        self._rescan = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look for nodes and for other roots, now and then, until cancelled. Started after the first look."""
        while True:
            self._rescan = trio.Event()
            await self._ask_signer()
            self.scan()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED
            with trio.move_on_after(SCAN_S):
                await self._rescan.wait()

    def rescan(self) -> None:
        """Look at once."""
        self._rescan.set()

    def scan(self) -> None:
        """Take over what is there: new nodes, nodes enrolled anew by somebody else, other roots."""
        found = self._found()
        for name in self._files.keys() - found.keys():
            self._rotator.drop(name)
        self._files = found
        for name, files in found.items():
            try:
                self._write(name)
                self._take_over(name, files)
            except LegationError as error:
                logs.event(log, logging.ERROR, "node not renewed", node=name, error=error)

    def issued(self, key: Hashable, holder: Holder) -> None:
        """Write a renewed certificate. Where that fails, each scan tries again."""
        self._unwritten[str(key)] = holder
        try:
            self._write(str(key))
        except LegationError as error:
            logs.event(log, logging.ERROR, "certificate not written", node=key, error=error)

    def expired(self, key: Hashable) -> None:
        """The files stay: a connection that exists goes on, and a renewal is tried for ever."""

    def _write(self, name: str) -> None:
        if name in self._unwritten and name in self._files:
            self._files[name].write(self._unwritten[name], self._trust.bundle.pem)
            del self._unwritten[name]

    def _found(self) -> dict[str, NodeFiles]:
        settings = self._settings
        if settings.node is not None:
            return {settings.node: NodeFiles(settings.out, settings.trust_domain, settings.node)}
        return enrolled(settings.out, settings.trust_domain)

    def _take_over(self, name: str, files: NodeFiles) -> None:
        life = files.life()
        slot = self._rotator.slots.get(name)
        if slot is not None and life != slot.life and not slot.under_way:
            self._rotator.drop(name)
        self._rotator.want(name, self._settings.order(name), self, life)
        if life is not None:
            files.write_sds()
            files.write_roots(self._trust.bundle.pem)

    async def _ask_signer(self) -> None:
        try:
            await self._issuer.refresh_trust()
        except LegationError as error:
            logs.event(log, logging.DEBUG, "the signer does not answer", error=error)


async def renew(settings: Settings, ready_fd: int | None) -> None:
    """Renew until SIGTERM or SIGINT."""
    if settings.node is not None:
        settings.order(settings.node)
    make_private(settings.out)
    client, trust = SignerClient(settings.signer_socket), Trust(settings.trust_domain)
    issuer = Issuer(client, trust, clock.system)
    rotator = Rotator(issuer.issue, wall=lambda: clock.system().timestamp(), boot=boot_time_s)
    renewer = Renewer(settings, issuer, trust, rotator)
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(follow_signals, shutdown, renewer.rescan)
        nursery.start_soon(_keep_renewing, client, renewer, rotator, ready_fd)
        await shutdown.wait()
        nursery.cancel_scope.cancel()
    logs.event(log, logging.INFO, "ended")


async def _keep_renewing(client: SignerClient, renewer: Renewer, rotator: Rotator, ready_fd: int | None) -> None:
    await client.wait_there(SIGNER_PATIENCE_S)
    async with trio.open_nursery() as nursery:
        await nursery.start(renewer.run)
        nursery.start_soon(rotator.run)
        logs.event(log, logging.INFO, "ready")
        announce(ready_fd, ready_line(os.getpid()))


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ca.enroll", description="Writes and renews the certificate files of nodes.", allow_abbrev=False
    )
    parser.add_argument("--node", help="name of the node")
    parser.add_argument("--out", type=Path, required=True, help="directory that gets one directory for each node")
    parser.add_argument("--signer-socket", type=Path, required=True, help="Unix socket of the signer")
    parser.add_argument("--renew", action="store_true", help="stay, and renew in time")
    parser.add_argument("--all", action="store_true", help="with --renew: every node that was enrolled below --out")
    add_common_arguments(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the process; returns its exit code: 0, 1 failed, 2 usage or configuration."""
    options = arguments().parse_args(argv)
    logs.configure("renew" if options.renew else "enroll", level=options.log_level, log_format=options.log_format)
    try:
        check_common_arguments(options)
        for warning in harden():
            logs.event(log, logging.DEBUG, warning)  # the signer's and ca's lines say it to everybody who looks
        trio.run(program_of(options), strict_exception_groups=True)
    except (LegationError, ExceptionGroup) as error:
        return explain(error)
    return 0


def program_of(options: argparse.Namespace) -> partial[Coroutine[Any, Any, None]]:
    """What the command line asks for. Raises `ConfigError`."""
    settings = Settings(options.trust_domain, options.out, options.signer_socket, options.node)
    if options.all and (options.node is not None or not options.renew):
        raise ConfigError("--all goes with --renew, and not with --node")
    if options.renew:
        if not options.all and options.node is None:
            raise ConfigError("--renew needs --node NAME or --all")
        return partial(renew, settings, options.ready_fd)
    if options.node is None:
        raise ConfigError("--node NAME is missing")
    return partial(_enroll_once, settings, options.node, options.ready_fd)


async def _enroll_once(settings: Settings, name: str, ready_fd: int | None) -> None:
    await enroll(settings, name)
    announce(ready_fd, ready_line(os.getpid()))


if __name__ == "__main__":
    sys.exit(main())
