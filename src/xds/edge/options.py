"""gRPC channel arguments of every server of the product, and of the benchmark's floor."""

from __future__ import annotations

from typing import Final

from xds import limits

STREAMS_PER_CONNECTION_MAX: Final = 2_048
"""An Envoy opens one SDS stream per secret; a thousand per connection must work (conformance 95)."""

CONNECTION_GRACE_S: Final = 5.0
"""A connection past its maximum age may go on for so long; then Envoy connects anew, with its new certificate."""

TLS_FRAME_BYTES: Final = 2_048
"""88 instead of 113 KB a connection."""


def server_options(
    *,
    tls: bool,
    connection_age_s: float | None = None,
    connection_grace_s: float = CONNECTION_GRACE_S,
    connections_max: int | None = None,
) -> list[tuple[str, int]]:
    """Channel arguments of a server. A fresh list each time."""
    options = [
        # A frozen client is only reaped with all three of these (grpcio 1.85)…
        ("grpc.keepalive_time_ms", _ms(limits.KEEPALIVE_TIME_S)),
        ("grpc.http2.ping_timeout_ms", _ms(limits.KEEPALIVE_TIMEOUT_S)),
        ("grpc.http2.max_pings_without_data", 0),
        # …and these allow the pings of our bootstraps, which come every 5 s.
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.server_handshake_timeout_ms", _ms(limits.HANDSHAKE_S)),
        # Otherwise a second server on the same port starts without an error and takes half of the connections.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", limits.RECEIVE_BYTES_MAX),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
    ]
    if tls:
        options.append(("grpc.tsi.max_frame_size", TLS_FRAME_BYTES))
    if connections_max is not None:
        options.append(("grpc.max_allowed_incoming_connections", connections_max))
    if connection_age_s is not None:
        options.append(("grpc.max_connection_age_ms", _ms(connection_age_s)))
        options.append(("grpc.max_connection_age_grace_ms", _ms(connection_grace_s)))
    return options


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
