"""Listening addresses: their text, what plaintext may use, and errors that name the address."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass

from xds.errors import ConfigError, LocalError

PORT_MAX = 65_535


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on; port 0 lets the kernel choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read `host:port` or `[v6]:port`. Raises `ConfigError`."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ConfigError(f"an IPv6 address to listen on is written [address]:port, not {text!r}")
        if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > PORT_MAX:
            raise ConfigError(f"an address to listen on is written host:port, not {text!r}")
        return cls(host, int(port))

    @property
    def loopback(self) -> bool:
        """True where only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def refuse_open_plaintext(address: Address) -> None:
    """Raise `ConfigError` for plaintext that another machine could reach."""
    if not address.loopback:
        raise ConfigError(f"plaintext is served on loopback only (127.0.0.1, [::1]), not on {address}: use TLS there")


def bound_socket(address: Address) -> socket.socket:
    """A TCP socket bound to the address, not yet listening. Raises `LocalError`, which names the address."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise cannot_listen(str(address), error) from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
    except OSError as error:
        sock.close()
        raise cannot_listen(str(address), error) from None
    return sock


def probe(address: Address) -> None:
    """Raise `LocalError` unless the address can be bound now; grpc's own errors do not say why."""
    bound_socket(address).close()


def cannot_listen(where: str, error: OSError) -> LocalError:
    """The error of a failed bind."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return LocalError(f"cannot listen on {where}: {reason[:1].lower()}{reason[1:]}")
