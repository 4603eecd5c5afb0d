"""Sets the demo up: control plane, application, two enrolled Envoys, and the first request that gets through."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, Final

import trio

from legation.bootstrap import Facts, bootstrap, to_json
from legation.demo.http import Client, serve_app
from legation.demo.traffic import ask_once
from legation.demo.workspace import NODES, Workspace
from legation.envoy import find_envoy
from legation.prepare import write_state
from legation.process import Child, ProcessFailedError, Program, describe_exit, spawn
from legation.programs import enroll, programs
from legation.supervisor import Supervisor
from xds.errors import LocalError

FIRST_ANSWER_S: Final = 30.0
POLL_S: Final = 0.05
OK: Final = 200


@asynccontextmanager
async def stage(workspace: Workspace, wall: Callable[[], float], log: IO[bytes]) -> AsyncIterator[Supervisor]:
    """The running set. When this is left, everything has ended. Raises `LocalError` if the start or an Envoy fails."""
    settings = workspace.settings

    def publish(state: dict[str, object]) -> None:
        write_state(settings, {"pid": os.getpid(), **state})

    supervisor = Supervisor(programs(settings), wall=wall, publish=publish, stderr=log)
    async with trio.open_nursery() as nursery:
        await nursery.start(serve_app, workspace.ports["app"])
        await nursery.start(supervisor.run)
        for node in NODES:
            await _enroll(workspace, node, log)
        for node in NODES:
            nursery.start_soon(_keep_envoy, spawn(envoy_program(workspace, node), stderr=log, stdout=log))
        await first_answer(workspace)
        yield supervisor
        nursery.cancel_scope.cancel()


async def _enroll(workspace: Workspace, node: str, log: IO[bytes]) -> None:
    child = spawn(enroll(workspace.settings, node), stderr=log, stdout=log)
    code = await child.wait()
    child.close()
    if code != 0:
        raise ProcessFailedError(f"enrolment of {node}", code)


def envoy_program(workspace: Workspace, node: str) -> Program:
    """Write a node's bootstrap; the command line of its Envoy."""
    settings = workspace.settings
    facts = Facts(
        node=node,
        node_dir=settings.nodes_dir / node,
        trust_domain=settings.trust_domain,
        xds_address=settings.xds_listen,
        sds_address=settings.sds_listen,
        admin_port=workspace.ports[f"{node}_admin"],
    )
    path = workspace.root / f"{node}.json"
    path.write_text(to_json(bootstrap(facts)), encoding="utf-8")
    # Without hot restart two Envoys need no base ids and leave nothing in /dev/shm.
    options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning", "--drain-time-s", "2")
    return Program(f"envoy {node}", (str(find_envoy()), "-c", str(path), *options))


async def _keep_envoy(child: Child) -> None:
    """An Envoy that ends by itself ends the demo; otherwise it ends with us."""
    try:
        code = await child.wait()
        raise LocalError(f"{child.program.name} ended by itself ({describe_exit(code)})")
    finally:
        with trio.CancelScope(shield=True):
            child.kill()
            await child.wait()
        child.close()


async def first_answer(workspace: Workspace) -> None:
    """Until a request gets through both Envoys. Raises `LocalError` if none does."""
    client = Client(workspace.ports["web_http"], keep_alive=False)
    status: int | None = None
    detail = ""
    with trio.move_on_after(FIRST_ANSWER_S):
        while status != OK:
            status, detail = await ask_once(client)
            await trio.sleep(POLL_S)
        return
    raise LocalError(
        f"no request got through both Envoys in {FIRST_ANSWER_S:.0f} s; the last answer: {status} {detail}"
    )
