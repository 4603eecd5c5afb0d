"""Wiring of the management server: what is made, in which order it starts and ends. Nothing is decided here."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from xds import limits
from xds.api.descriptors import envoy_api
from xds.control.admin import admin_app
from xds.control.fleet import Fleet
from xds.control.flow import Source
from xds.control.handshake import Bound
from xds.control.overview import Overview
from xds.control.publisher import Publisher
from xds.control.readiness import Readiness
from xds.control.source import DirectorySource
from xds.control.store import Store
from xds.control.tls import TlsFiles
from xds.edge import binding, collector
from xds.edge.health import health_app
from xds.edge.http import serve_http
from xds.edge.methods import XDS_METHODS
from xds.edge.server import EdgeServer
from xds.edge.stream import Stream
from xds.errors import ConfigError
from xds.logs import event
from xds.process import follow_signals

GRACE_S: Final = limits.DRAIN_S - 2.0
"""For streams to end; the rest is for the process itself."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command line says."""

    trust_domain: str
    resources: Path | None = None
    """Not used where `serve` is given another source."""
    listen: str | None = None
    tls: Path | None = None
    """The parent of `current`; required with `listen`."""
    plaintext: str | None = None
    http: str | None = None
    admin_socket: Path | None = None
    connection_age_s: float | None = None

    def check(self) -> None:
        """Raise `ConfigError` for what cannot be meant."""
        if (self.listen is None) != (self.tls is None):
            raise ConfigError("--listen and --tls go together: what listens on the network speaks mTLS")
        if self.listen is None and self.plaintext is None:
            raise ConfigError("nothing to listen on: give --listen and --tls, or --plaintext")
        if self.resources is not None and not self.resources.is_dir():
            raise ConfigError(f"the resources directory {self.resources} does not exist or is no directory")


async def serve(
    settings: Settings, source: Source | None = None, *, on_ready: Callable[[Bound], None] = lambda _: None
) -> None:
    """Run the management server until SIGTERM or SIGINT. Raises `LocalError` and `ConfigError`, maybe in groups.

    The source is exchangeable: a benchmark brings its own and runs this very server.
    """
    settings.check()
    overview = _made(settings, source)
    shutdown = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(follow_signals, shutdown, overview.source.reload)
        nursery.start_soon(_run, settings, overview, on_ready)
        await shutdown.wait()
        event(log, logging.INFO, "draining", streams=len(overview.fleet.connected))
        overview.readiness.drain()
        with trio.move_on_after(limits.DRAIN_S):
            await _drain(overview)
        nursery.cancel_scope.cancel()
    event(log, logging.INFO, "ended")


def _made(settings: Settings, source: Source | None) -> Overview:
    if source is None:
        if settings.resources is None:
            raise ConfigError("--resources is missing")
        envoy_api()  # wrong or missing descriptors end the process before it listens
        source = DirectorySource(settings.resources)
    store: Store[Stream] = Store()
    readiness = Readiness()
    fleet = Fleet(store, readiness, trust_domain=settings.trust_domain, clock=trio.current_time)
    edge_server = partial(
        EdgeServer,
        fleet,
        XDS_METHODS,
        trust_domain=settings.trust_domain,
        identifier=f"legation-xds {platform.node()}".strip(),
        on_rejected=fleet.rejected,
        doubts=fleet.doubts,
    )
    return Overview(
        readiness=readiness,
        store=store,
        fleet=fleet,
        publisher=Publisher(store, readiness, on_change=fleet.rejections.new_change),
        source=source,
        tls=None if settings.tls is None else TlsFiles(settings.tls),
        servers=(edge_server(), edge_server()),
        clock=trio.current_time,
    )


async def _run(settings: Settings, overview: Overview, on_ready: Callable[[Bound], None]) -> None:
    """Open what can be opened at once, read the resources, wait for TLS, say that all is ready."""
    async with trio.open_nursery() as nursery:
        bound = await _open_local(nursery, settings, overview)
        await nursery.start(overview.source.run, overview.publisher)
        bound = await _open_tls(nursery, settings, overview, bound)
        overview.readiness.listening()
        if (why := overview.readiness.reason()) is not None:
            event(log, logging.WARNING, "waiting", error=why)
        await overview.readiness.wait_ready()
        event(log, logging.INFO, "ready", listen=bound.listen, plaintext=bound.plaintext, http=bound.http)
        on_ready(bound)
        collector.settle()


async def _open_local(nursery: trio.Nursery, settings: Settings, overview: Overview) -> Bound:
    bound = Bound()
    reason = overview.readiness.reason
    if settings.listen is not None:
        address = binding.Address.parse(settings.listen)
        if address.port:
            binding.probe(address)  # it is opened when there are certificates, but a port in use is told at once
    if settings.http is not None:
        app: Any = health_app(reason, overview.metrics)
        bound = replace(bound, http=await nursery.start(partial(serve_http, app, tcp=settings.http)))
    if settings.admin_socket is not None:
        app = admin_app(reason, overview.status)
        bound = replace(bound, admin=await nursery.start(partial(serve_http, app, unix=settings.admin_socket)))
    if settings.plaintext is not None:
        server = overview.servers[0]
        bound = replace(bound, plaintext=await server.start(settings.plaintext, None))
    return bound


async def _open_tls(nursery: trio.Nursery, settings: Settings, overview: Overview, bound: Bound) -> Bound:
    if settings.listen is None or overview.tls is None:
        return bound
    credentials = await nursery.start(overview.tls.run, overview.readiness.not_listening)
    server = overview.servers[1]
    address = await server.start(settings.listen, credentials, connection_age_s=settings.connection_age_s)
    return replace(bound, listen=address)


async def _drain(overview: Overview) -> None:
    async with trio.open_nursery() as nursery:
        for server in overview.servers:
            nursery.start_soon(server.drain, GRACE_S)
