"""Errors, named by who is at fault. Each message says what happened, where, and what to do; none holds a secret."""

from __future__ import annotations

import enum


class Fault(enum.Enum):
    """How a peer's error is answered; `xds.edge.status` turns it into a gRPC status code, nothing else does."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    DENIED = "denied"
    UNAVAILABLE = "unavailable"
    EXHAUSTED = "exhausted"
    UNIMPLEMENTED = "unimplemented"


class LegationError(Exception):
    """Root of all errors that are expected and explained."""


class PeerError(LegationError):
    """An Envoy, another client or the network is at fault: its stream ends, the process goes on, it is counted."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault


class ConfigError(LegationError):
    """The operator's input is at fault: the last good state stays live. Exit code 2 at start."""


class LocalError(LegationError):
    """Our process or machine is at fault (a port in use, a full disk, our own mistake). Exit code 1."""
