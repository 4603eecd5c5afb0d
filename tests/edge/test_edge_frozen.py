"""A frozen client: the machine is there, the process is not (conformance 99d)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
from fakes.edge import TRUST_DOMAIN, FakeHost

from xds import limits
from xds.edge import methods
from xds.edge.guest import run
from xds.edge.server import EdgeServer

CLIENT = """
import asyncio, sys
from fakes.xds_client import Connection
from xds import names

async def main():
    async with Connection(sys.argv[1]) as connection:
        stream = connection.sotw()
        await stream.ask(names.CLUSTER)
        await stream.receive()
        print("open", flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""


@pytest.mark.slow
def test_its_stream_is_ended_by_keepalive() -> None:
    async def main() -> None:
        host = FakeHost()
        closed = trio.Event()
        closing = host.closed
        host.closed = lambda stream: (closing(stream), closed.set())
        server = EdgeServer(host, methods.XDS_METHODS, trust_domain=TRUST_DOMAIN, identifier="")
        address = await server.start("127.0.0.1:0", None)
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, "-c", CLIENT, address]
        child = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environment)
        try:
            await child.stdout.receive_some()
            assert len(host.now) == 1
            child.send_signal(signal.SIGSTOP)
            with trio.fail_after(3 * (limits.KEEPALIVE_TIME_S + limits.KEEPALIVE_TIMEOUT_S)):
                await closed.wait()
            assert host.now == set()
        finally:
            child.kill()
            await child.wait()
            await child.stdout.aclose()
            await server.drain(0)

    run(main)
