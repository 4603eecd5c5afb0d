"""gRPC ignores a channel argument whose name it does not know, so a misspelt one is a setting that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from grpc._cython import cygrpc

from xds.edge.options import server_options

NAMES = [name for name, _ in server_options(tls=True, connection_age_s=60, connections_max=1)]


@pytest.mark.parametrize("name", NAMES)
def test_grpc_knows_the_argument(name: str) -> None:
    library = Path(cygrpc.__file__).read_bytes()
    assert name.encode() + b"\0" in library
