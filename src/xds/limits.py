"""Every bound of the server in one table, each with where its number comes from."""

from __future__ import annotations

from typing import Final

RECEIVE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One request. An Envoy that reconnects in delta names everything it holds in one message (conformance 99c)."""

NAMES_MAX: Final = 100_000
"""Names in one subscription: ten times the largest fleet of clusters known to peers (10,000)."""

NAME_BYTES_MAX: Final = 2048
"""One resource name; the longest legal SPIFFE ID is as long."""

STREAM_NAMES_MAX: Final = 2 * NAMES_MAX
"""Names in all subscriptions of one stream: a client with that many clusters names their endpoints besides."""

STREAMS_PER_IDENTITY_MAX: Final = 2_048
"""Streams of one certificate's identity, over all of its connections: a thousand secrets (conformance 95), twice while
an Envoy changes connections."""

FIRST_REQUEST_S: Final = 30.0
"""An Envoy asks as soon as its stream is open; a stream that never asks is only there to be counted."""

NODE_BYTES_MAX: Final = 1024 * 1024
"""One Node. A real one is 49 to 61 KB with its extensions, and each stream keeps its metadata."""

NODE_TEXT_CHARS_MAX: Final = 1024
"""A node's id, cluster, user agent and locality, each: what is shown, logged and matched."""

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

CONNECTION_AGE_S_MAX: Final = 3600.0
"""A client shows its renewed certificate on a new connection only (facts 12)."""

DEBOUNCE_S: Final = 0.1
"""Quiet time after which several changed files become one change."""

HANDSHAKE_S: Final = 10.0
"""From accept to the first frame of HTTP/2. Whoever takes longer holds a descriptor and has shown no certificate."""

CERTIFICATE_ROUND_S: Final = 5.0
"""So much later than its certificate a stream may end, where the wall clock was set meanwhile."""

KEEPALIVE_TIME_S: Final = 10.0
KEEPALIVE_TIMEOUT_S: Final = 5.0
"""Server pings; with these a frozen client is reaped on grpcio 1.85 (conformance 99d)."""

PYTHON_FILE_TIMEOUT_S: Final = 20.0
"""A resource file in Python that has not ended by then is stopped."""

CONFIG_FILE_BYTES_MAX: Final = 64 * 1024 * 1024
"""One resource file; more is a mistake rather than a configuration."""

ENTRIES_FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""One file of registration entries: some 50,000 of them."""


def connection_age_s(node_life_s: float) -> float:
    """How old a connection may get, by the life of the certificate that the client shows on it."""
    return max(1.0, min(node_life_s / 4, CONNECTION_AGE_S_MAX))
