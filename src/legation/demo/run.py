"""The demo from beginning to end. Wiring only."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from legation.demo import view
from legation.demo.http import Client
from legation.demo.probe import probe_context
from legation.demo.stage import stage
from legation.demo.tally import ROTATIONS_MIN, Handshakes, Tally
from legation.demo.traffic import Running, ask_again, watch_handshakes, watch_status
from legation.demo.workspace import Workspace, make_workspace
from legation.prepare import locked, prepare
from legation.report import plain
from legation.supervisor import Supervisor
from xds.errors import LocalError

KEPT_PAUSE_S: Final = 0.03
NEW_PAUSE_S: Final = 0.06
STRANGER_PAUSE_S: Final = 1.0
REFRESH_S: Final = 0.5
LINE_S: Final = 10.0
MTLS_PORTS: Final = {"web": "web_mtls", "api": "api_mtls"}


@dataclass(slots=True)
class Show:
    """One run of the demo."""

    workspace: Workspace
    console: Console
    wall: Callable[[], float]
    running: Running
    tally: Tally = field(default_factory=Tally)
    answers: dict[str, Any] = field(default_factory=dict)

    def now(self) -> datetime:
        """Local time, for people."""
        return datetime.fromtimestamp(self.wall(), UTC).astimezone()


def run_demo(console: Console, wall: Callable[[], float], seed: int, seconds: int | None) -> bool:
    """Run it; True if it proved what it should. Without `seconds` it runs until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="legation-") as name:
        workspace = make_workspace(Path(name), seed)
        prepare(workspace.settings)
        with locked(workspace.settings):
            return trio.run(_run, workspace, console, wall, seconds)


async def _run(workspace: Workspace, console: Console, wall: Callable[[], float], seconds: int | None) -> bool:
    running = Running(trio.Event(), lambda: show.now().strftime("%H:%M:%S"))
    show = Show(workspace, console, wall, running)
    console.print("Starting signer, ca, xds and two Envoys …")
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, workspace.log.open("wb") as log:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_on_signal, signals, running, nursery.cancel_scope)
                async with stage(workspace, wall, log) as supervisor:
                    await _perform(show, supervisor, seconds)
                nursery.cancel_scope.cancel()
        except* LocalError as errors:
            show.tally.broken += [str(error) for error in leaves(errors)]
    return _conclude(show, rotations_min=0 if seconds is None else ROTATIONS_MIN)


async def _stop_on_signal(signals: AsyncIterator[int], running: Running, scope: trio.CancelScope) -> None:
    """The first one ends the traffic, the next one everything."""
    async for _ in signals:
        if running.stop.is_set():
            scope.cancel()
        running.stop.set()


async def _perform(show: Show, supervisor: Supervisor, seconds: int | None) -> None:
    show.console.print(view.introduction(show.workspace, legation_command()), soft_wrap=True)
    context, ports, tally = probe_context(), show.workspace.ports, show.tally
    settings = show.workspace.settings
    async with trio.open_nursery() as nursery:
        kept = Client(ports["web_http"], keep_alive=True)
        new = Client(ports["web_http"], keep_alive=False)
        stranger = Client(ports["stranger_http"], keep_alive=False)
        nursery.start_soon(ask_again, show.running, kept, tally.kept, KEPT_PAUSE_S)
        nursery.start_soon(ask_again, show.running, new, tally.new, NEW_PAUSE_S)
        nursery.start_soon(ask_again, show.running, stranger, tally.stranger, STRANGER_PAUSE_S)
        for name, port in MTLS_PORTS.items():
            seen = tally.envoys.setdefault(name, Handshakes())
            tell = _teller(show, name)
            nursery.start_soon(watch_handshakes, show.running, ports[port], context, seen, tell)
        nursery.start_soon(watch_status, show.running, settings.xds_socket, show.answers, "xds")
        nursery.start_soon(watch_status, show.running, settings.ca_socket, show.answers, "ca")
        nursery.start_soon(_display, show, supervisor)
        await show.running.pause(float("inf") if seconds is None else seconds)
        show.running.stop.set()


def _teller(show: Show, name: str) -> Callable[[Handshakes], None]:
    def rotated(seen: Handshakes) -> None:
        if not show.console.is_terminal and seen.shown is not None:
            show.console.print(
                f"{show.running.clock()} {name} presents a new certificate: {seen.shown.serial}", soft_wrap=True
            )

    return rotated


async def _display(show: Show, supervisor: Supervisor) -> None:
    if not show.console.is_terminal:
        while not show.running.stop.is_set():
            await show.running.pause(LINE_S)
            show.console.print(view.progress(show.tally, show.now()), soft_wrap=True)
        return
    with Live(console=show.console, auto_refresh=False) as screen:  # no refresh thread
        while not show.running.stop.is_set():
            processes = supervisor.state()["processes"]
            table = view.live(show.tally, show.answers, processes, trio.current_time(), show.wall())
            screen.update(table, refresh=True)
            await show.running.pause(REFRESH_S)


def _conclude(show: Show, *, rotations_min: int) -> bool:
    failures = show.tally.failures(rotations_min=rotations_min)
    show.console.print(view.conclusion(show.tally, failures), soft_wrap=True)
    if failures:
        tail = show.workspace.log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
        show.console.print(Text("\nThe last lines of the processes' log:", style="bold"))
        show.console.print(Text("\n".join(plain(line) for line in tail)))
    return not failures


def legation_command() -> str:
    """What to type in another terminal to call this very `legation`."""
    ours = Path(sys.executable).parent / "legation"
    if not ours.is_file():
        return f"{sys.executable} -P -m legation"
    found = shutil.which("legation")
    return "legation" if found is not None and Path(found).samefile(ours) else str(ours)


def leaves(group: BaseExceptionGroup[LocalError]) -> list[LocalError]:
    """The errors of a group of groups."""
    found: list[LocalError] = []
    for error in group.exceptions:
        found += [error] if isinstance(error, LocalError) else leaves(error)
    return found
