"""gRPC status codes: chosen here and nowhere else (conformance 100)."""

from __future__ import annotations

from typing import Final

import grpc

from xds import limits
from xds.errors import Fault

INTERNAL_SENTENCE: Final = "internal error; the server's log says more"

_CODES: Final = {
    Fault.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Fault.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Fault.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Fault.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Fault.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Fault.UNIMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
}


def code_of(fault: Fault | None) -> grpc.StatusCode:
    """Status of a stream that ends by a fault; None is our own."""
    return grpc.StatusCode.INTERNAL if fault is None else _CODES[fault]


def sentence(text: str) -> str:
    """A status message fit for a trailer: one line of ASCII, cut."""
    escaped = text.replace("\n", " ").encode("ascii", "backslashreplace").decode("ascii")
    return escaped if len(escaped) <= limits.STATUS_CHARS_MAX else escaped[: limits.STATUS_CHARS_MAX - 3] + "..."
