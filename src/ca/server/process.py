"""Wiring of the ca process: what is made, in which order it starts and ends. Nothing is decided here."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from ca import clock
from ca.server.entries import EntryBook
from ca.server.fleet import Fleet
from ca.server.http import admin_app
from ca.server.metrics import Metrics
from ca.server.own import OwnCertificates
from ca.server.status import Overview
from ca.server.upkeep import Upkeep
from ca.svid.directory import make_private
from ca.svid.issuing import Issuer
from ca.svid.lifecycle import boot_time_s
from ca.svid.rotator import Rotator
from ca.svid.sds import SecretHost, sds_server, wake
from ca.svid.signer_client import SignerClient
from ca.svid.trust import Trust
from xds import limits
from xds.edge import binding, collector
from xds.edge.health import health_app
from xds.edge.http import serve_http
from xds.edge.server import EdgeServer
from xds.logs import event
from xds.process import follow_signals

SIGNER_PATIENCE_S: Final = 15.0
"""At start: the signer is started before us, and opens its key store first."""

OWN_PATIENCE_S: Final = 15.0
GRACE_S: Final = limits.DRAIN_S - 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    trust_domain: str
    run_dir: Path
    entries: Path
    signer_socket: Path
    listen: str
    server_names: tuple[str, ...] = ()
    http: str | None = None
    admin_socket: Path | None = None
    ttl_max_s: int | None = None
    """The longest life of a workload's certificate that the signer allows; None: entries are not held against it."""

    def check(self) -> None:
        """Raise `LocalError` or `ConfigError` for an address or a directory that cannot be used."""
        address = binding.Address.parse(self.listen)
        if address.port:
            binding.probe(address)  # it is opened when there are certificates, but a port in use is told at once
        make_private(self.run_dir)
        make_private(self.run_dir / "xds")


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the process can be reached."""

    listen: str
    http: str | None
    admin: str | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What the process is made of."""

    client: SignerClient
    issuer: Issuer
    trust: Trust
    rotator: Rotator
    fleet: Fleet
    host: SecretHost
    server: EdgeServer
    own: OwnCertificates
    upkeep: Upkeep
    book: EntryBook
    overview: Overview


async def serve(settings: Settings, *, on_ready: Callable[[Bound], None] = lambda _: None) -> None:
    """Run until SIGTERM or SIGINT. Raises `LocalError` and `ConfigError`, maybe in groups."""
    settings.check()
    parts = _made(settings)
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(follow_signals, shutdown, parts.book.reload)
        nursery.start_soon(_run, settings, parts, on_ready)
        await shutdown.wait()
        event(log, logging.INFO, "draining", streams=len(parts.host.streams))
        parts.overview.draining = True
        with trio.move_on_after(limits.DRAIN_S):
            await parts.server.drain(GRACE_S)
        nursery.cancel_scope.cancel()
    event(log, logging.INFO, "ended")


def _wall_s() -> float:
    return clock.system().timestamp()


def _made(settings: Settings) -> Parts:
    trust = Trust(settings.trust_domain)
    client = SignerClient(settings.signer_socket)
    issuer = Issuer(client, trust, clock.system)
    rotator = Rotator(issuer.issue, wall=_wall_s, boot=boot_time_s)
    fleet = Fleet(rotator, wake)
    host = SecretHost(fleet)
    own = OwnCertificates(rotator, trust, settings.run_dir / "xds")
    upkeep = Upkeep(issuer, fleet, host, own)
    book = EntryBook(settings.entries, settings.trust_domain, fleet.grant, ttl_max_s=settings.ttl_max_s)

    def follow_trust() -> None:
        fleet.trust(trust.bundle)
        own.renewed_trust()

    trust.on_change = follow_trust
    return Parts(
        client=client,
        issuer=issuer,
        trust=trust,
        rotator=rotator,
        fleet=fleet,
        host=host,
        server=sds_server(host, settings.trust_domain, _wall_s),
        own=own,
        upkeep=upkeep,
        book=book,
        overview=Overview(trust=trust, fleet=fleet, host=host, own=own, upkeep=upkeep, book=book),
    )


async def _run(settings: Settings, parts: Parts, on_ready: Callable[[Bound], None]) -> None:
    async with trio.open_nursery() as nursery:
        admin = await _open_admin(nursery, settings, parts)
        state = await parts.client.wait_there(SIGNER_PATIENCE_S)
        parts.trust.learn(state.bundle)
        nursery.start_soon(parts.rotator.run)
        credentials, holder = await parts.own.obtain(settings.server_names, OWN_PATIENCE_S)
        await parts.book.load()
        nursery.start_soon(parts.book.watch)
        await parts.upkeep.ask_signer()
        nursery.start_soon(parts.upkeep.run)
        listen = await parts.server.start(
            settings.listen, credentials, connection_age_s=limits.connection_age_s(holder.life.length_s)
        )
        http = await _open_http(nursery, settings, parts)
        parts.overview.listening = True
        event(log, logging.INFO, "ready", listen=listen, http=http, entries=len(parts.book.entries))
        on_ready(Bound(listen, http, admin))
        collector.settle()


async def _open_admin(nursery: trio.Nursery, settings: Settings, parts: Parts) -> str | None:
    if settings.admin_socket is None:
        return None
    app: Any = admin_app(parts.overview.reason, parts.overview.status)
    where: str = await nursery.start(partial(serve_http, app, unix=settings.admin_socket))
    return where


async def _open_http(nursery: trio.Nursery, settings: Settings, parts: Parts) -> str | None:
    if settings.http is None:
        return None
    metrics = Metrics(parts.overview, parts.rotator, parts.server.tally)
    app: Any = health_app(parts.overview.reason, metrics.exposition)
    where: str = await nursery.start(partial(serve_http, app, tcp=settings.http))
    return where
