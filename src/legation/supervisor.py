"""Starts the processes of a control plane, watches them, and ends them together.

A start is all or nothing: every process is started at once, each waits by itself for what it needs, and the first that
ends before it was ready stops the rest and gives its exit code. Once all are ready they stand alone: one that dies is
started again after a back-off, and the others, which talk to it over sockets, connect again by themselves.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

import trio

from legation.backoff import BackOff
from legation.process import Child, ProcessFailedError, Program, describe_exit, spawn
from xds.errors import LocalError
from xds.limits import DRAIN_S
from xds.logs import event

PATIENCE_S: Final = 10.0
"""A process that is neither ready nor ended by then is named in the log, again and again. It is left alone: it may wait
for the operator to repair a file, and is ready at once when that is done."""

_log = logging.getLogger(__name__)

State = dict[str, Any]


@dataclass(slots=True)
class Keeper:
    """What is known of one program: written by its task, read by `Supervisor.state`."""

    program: Program
    child: Child | None = None
    state: str = "starting"
    since: float = 0.0
    restarts: int = 0
    last_exit: str = ""
    said: Mapping[str, Any] = field(default_factory=dict)
    backoff: BackOff = field(default_factory=BackOff)
    announced: bool = False
    """It was ready once; from then on it is kept alive whatever happens."""

    def shown(self) -> State:
        """For `legation status`."""
        return {
            "name": self.program.name,
            "state": self.state,
            "pid": self.child.pid if self.child is not None else None,
            "since": self.since,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
            **{key: value for key, value in self.said.items() if key in {"listen", "http", "admin"}},
        }


class Supervisor:
    """Runs programs until it is told to stop. `wall` gives seconds since the epoch; `publish` gets each new state."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        wall: Callable[[], float],
        publish: Callable[[State], None] = lambda _: None,
        stderr: IO[bytes] | None = None,
    ) -> None:
        self._keepers = [Keeper(program) for program in programs]
        self._wall = wall
        self._publish_state = publish
        self._stderr = stderr
        self._stopping = trio.Event()
        self._ready = trio.Event()
        self._killed = False
        self._failure: LocalError | None = None

    @property
    def ready(self) -> bool:
        """True once every program has been ready."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Until every program has been ready."""
        await self._ready.wait()

    def pid(self, name: str) -> int | None:
        """Process id of a program that runs."""
        return next((k.child.pid for k in self._keepers if k.program.name == name and k.child is not None), None)

    def state(self) -> State:
        """Everything that `legation status` shows of the processes."""
        return {"ready": self.ready, "processes": [keeper.shown() for keeper in self._keepers]}

    def reload(self) -> None:
        """Tell the programs that can to read their files again."""
        event(_log, logging.INFO, "reload")
        for keeper in self._keepers:
            if keeper.program.reloads and keeper.child is not None and keeper.state == "ready":
                keeper.child.send(signal.SIGHUP)

    def stop(self) -> None:
        """Begin to drain; a second call kills at once."""
        if self._stopping.is_set():
            self._kill_all()
            return
        event(_log, logging.INFO, "draining", seconds=DRAIN_S)
        self._stopping.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> bool:
        """Until `stop`; `started` when all are ready. True if all ended in time. Raises a start's first failure."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._announce, task_status)
                nursery.start_soon(self._drain)
                nursery.start_soon(self._name_the_late)
                async with trio.open_nursery() as keepers:
                    for keeper in self._keepers:
                        keepers.start_soon(self._keep, keeper)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await self._reap()
        if self._failure is not None:
            raise self._failure
        return not self._killed

    async def _announce(self, task_status: trio.TaskStatus[None]) -> None:
        await self._ready.wait()
        task_status.started()

    async def _keep(self, keeper: Keeper) -> None:
        while not self._stopping.is_set():
            try:
                code, ready_for = await self._one_run(keeper)
            except LocalError as failure:
                self._fail(failure)
                return
            if self._stopping.is_set():
                return
            wait = keeper.backoff.after(ready_for)
            self._log_end(keeper, code, wait)
            with trio.move_on_after(wait):
                await self._stopping.wait()

    def _fail(self, failure: LocalError) -> None:
        """The first failure of a start is the cause; what follows most likely comes from it."""
        if not self._stopping.is_set():
            self._failure = failure
            event(_log, logging.ERROR, "start failed", error=failure)
            self.stop()

    async def _one_run(self, keeper: Keeper) -> tuple[int, float]:
        """From start to end: exit code, and how long it was ready. Raises `LocalError` if it never was, not once."""
        child = spawn(keeper.program, stderr=self._stderr)
        self._set(keeper, "starting", child=child)
        ready_at = None
        try:
            said = await child.wait_ready()
            ready_at = trio.current_time()
            self._now_ready(keeper, said)
            code = await child.wait()
        except ProcessFailedError as failure:
            if not keeper.announced:
                raise
            code = failure.code
        self._set(keeper, "waiting", child=None)
        child.close()
        return code, 0.0 if ready_at is None else trio.current_time() - ready_at

    async def _name_the_late(self) -> None:
        while not self.ready:
            with trio.move_on_after(PATIENCE_S):
                await self._ready.wait()
            late = [keeper.program.name for keeper in self._keepers if not keeper.announced]
            if late:
                event(_log, logging.WARNING, "still waiting until all are ready", program=", ".join(late))

    def _now_ready(self, keeper: Keeper, said: Mapping[str, Any]) -> None:
        keeper.said = said
        keeper.announced = True
        self._set(keeper, "ready", child=keeper.child)
        pid = keeper.child.pid if keeper.child is not None else None
        addresses = {key: said.get(key) for key in ("listen", "http")}
        event(_log, logging.INFO, "process ready", program=keeper.program.name, pid=pid, **addresses)
        self._check_all_ready()

    def _check_all_ready(self) -> None:
        if not self.ready and all(keeper.announced for keeper in self._keepers):
            self._ready.set()
            self._publish()

    def _set(self, keeper: Keeper, state: str, *, child: Child | None) -> None:
        keeper.state, keeper.child, keeper.since = state, child, self._wall()
        self._publish()

    def _publish(self) -> None:
        self._publish_state(self.state())

    def _log_end(self, keeper: Keeper, code: int, wait: float) -> None:
        keeper.restarts += 1
        keeper.last_exit = describe_exit(code)
        name = keeper.program.name
        event(_log, logging.ERROR, "process ended", program=name, exit=keeper.last_exit, restart_in_s=round(wait, 2))
        self._publish()

    def _children(self) -> list[Child]:
        return [keeper.child for keeper in self._keepers if keeper.child is not None]

    async def _drain(self) -> None:
        await self._stopping.wait()
        for child in self._children():
            child.send(signal.SIGTERM)
        await trio.sleep(DRAIN_S)  # cancelled when the last one has ended
        names = ", ".join(child.program.name for child in self._children())
        event(_log, logging.WARNING, "killed after the drain time", program=names)
        self._kill_all()

    def _kill_all(self) -> None:
        self._killed = True
        for child in self._children():
            child.kill()

    async def _reap(self) -> None:
        """Whatever happened, cancellation too: no child survives this."""
        children = self._children()
        for child in children:
            child.send(signal.SIGTERM)
        with trio.move_on_after(DRAIN_S):
            for child in children:
                await child.wait()
        for child in children:
            child.kill()
            await child.wait()
            child.close()
        for keeper in self._keepers:
            keeper.state, keeper.child = "stopped", None
