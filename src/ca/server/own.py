"""Certificates of our own listeners: that of SDS is kept in memory, that of the xds process is written to files."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from ca.errors import LegationError, LocalError
from ca.svid import directory
from ca.svid.holder import Holder
from ca.svid.order import Order
from ca.svid.rotator import Rotator
from ca.svid.trust import Trust
from xds.edge.credentials import ServerCredentials
from xds.logs import event

ALWAYS: Final = ("127.0.0.1", "localhost")
"""Names that every server has besides the configured ones."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerKey:
    """Of one of our own certificates in the rotator."""

    server: str


CA: Final = ServerKey("ca")
XDS: Final = ServerKey("xds")


class OwnCertificates:
    """Both certificates, renewed like any other. What cannot be put to use is tried again with `retry`."""

    def __init__(self, rotator: Rotator, trust: Trust, xds_files: Path) -> None:
        self.error: str | None = None
        self._rotator = rotator
        self._trust = trust
        self._xds_files = xds_files
        self._holders: dict[Hashable, Holder] = {}
        self._credentials: ServerCredentials | None = None
        self._unused: set[Hashable] = set()
        self._complete = trio.Event()

    @property
    def holders(self) -> dict[Hashable, Holder]:
        """The certificates at hand; not to be changed."""
        return self._holders

    async def obtain(self, server_names: tuple[str, ...], patience_s: float) -> tuple[ServerCredentials, Holder]:
        """Ask for both, and wait for them, at most that long. Raises `LocalError`."""
        dns_names, ip_addresses = split_names((*ALWAYS, *server_names))
        for key in (CA, XDS):
            order = Order.of_server(self._trust.trust_domain, key.server, dns_names, ip_addresses)
            self._rotator.want(key, order, self)
        with trio.move_on_after(patience_s):
            await self._complete.wait()
        return self._obtained(patience_s)

    def renewed_trust(self) -> None:
        """The roots have changed: both servers must know the new ones."""
        self._unused.update(self._holders)
        self.retry()

    def retry(self) -> None:
        """Put to use what could not be put to use before."""
        self.error = None
        for key in list(self._unused):
            try:
                self._use(key, self._holders[key])
            except LegationError as error:
                self.error = str(error)
                event(log, logging.ERROR, "own certificate not in use", error=error)
            else:
                self._unused.discard(key)

    def issued(self, key: Hashable, holder: Holder) -> None:
        """From the rotator."""
        self._holders[key] = holder
        self._unused.add(key)
        self.retry()
        if {CA, XDS} == self._holders.keys() and not self._unused:
            self._complete.set()

    def expired(self, key: Hashable) -> None:
        """From the rotator. What was in use stays: a client that does not look at the time may still connect."""

    def _use(self, key: Hashable, holder: Holder) -> None:
        files = certificate_files(holder, self._trust.bundle.pem)
        if key == XDS:
            directory.publish(self._xds_files, files)
        elif self._credentials is None:
            self._credentials = ServerCredentials(*files.values())
        else:
            self._credentials.update(*files.values())

    def _obtained(self, patience_s: float) -> tuple[ServerCredentials, Holder]:
        if self._credentials is None or not self._complete.is_set():
            slots = self._rotator.slots
            reasons = {slots[key].error for key in (CA, XDS)} | {self.error or ""}
            raise LocalError(
                f"no certificates for our own listeners within {patience_s:g} s: {'; '.join(sorted(reasons - {''}))}"
            )
        return self._credentials, self._holders[CA]


def certificate_files(holder: Holder, ca_pem: bytes) -> dict[str, bytes]:
    """The files of one certificate, as every reader of ours expects them: cert.pem, key.pem, ca.pem."""
    return {"cert.pem": holder.chain_pem(), "key.pem": holder.key_pem(), "ca.pem": ca_pem}


def split_names(names: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """DNS names and IP addresses, each once, in order."""
    dns_names: dict[str, None] = {}
    ip_addresses: dict[str, None] = {}
    for name in names:
        try:
            ip_addresses[str(ipaddress.ip_address(name))] = None
        except ValueError:
            dns_names[name] = None
    return tuple(dns_names), tuple(ip_addresses)
