"""Every bound of the server in one table, each with where its number comes from."""

from __future__ import annotations

from typing import Final

RECEIVE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One request. An Envoy that reconnects in delta names everything it holds in one message (conformance 99c)."""

NAMES_MAX: Final = 100_000
"""Names in one subscription: ten times the largest fleet of clusters known to peers (10,000)."""

NAME_BYTES_MAX: Final = 2048
"""One resource name; the longest legal SPIFFE ID is as long."""

ERROR_DETAIL_CHARS_MAX: Final = 2048
"""Of a client's rejection: a validation failure quotes the whole resource (facts 20)."""

STATUS_CHARS_MAX: Final = 1024
"""Of our own status messages: trailers over 8 KiB reset the connection (envoy#9785)."""

GATE_TIMEOUT_S: Final = 3.0
"""How long listeners and routes wait for the acknowledgement of the clusters they use (conformance 71, 75)."""

WRITE_BLOCKED_S: Final = 60.0
"""A client that does not read for so long loses its stream (conformance 99a)."""

DRAIN_S: Final = 10.0
"""From SIGTERM to the end of the process."""

DEBOUNCE_S: Final = 0.1
"""Quiet time after which several changed files become one change (design 8)."""

KEEPALIVE_TIME_S: Final = 10.0
KEEPALIVE_TIMEOUT_S: Final = 5.0
"""Server pings; with these a frozen client is reaped on grpcio 1.85 (design 4)."""

PYTHON_FILE_TIMEOUT_S: Final = 20.0
"""A resource file in Python that has not ended by then is stopped."""

CONFIG_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One resource file; more is a mistake rather than a configuration."""
