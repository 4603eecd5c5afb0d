"""The supervisor with small real children; time is trio's MockClock where it matters."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
import trio
from fakes.waiting import until_real
from trio.testing import MockClock

from legation.backoff import FIRST_S, LONGEST_S, STABLE_S, BackOff
from legation.process import READY_FD, ProcessFailedError, Program, describe_exit, spawn
from legation.supervisor import Supervisor
from xds.errors import LocalError

CHILD = Path(__file__).parents[1] / "fakes" / "child.py"


class Stage:
    """Programs made of the fake child, each with a log of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def program(self, name: str, *options: str, ready: bool = True, reloads: bool = False) -> Program:
        handshake = ("--ready-fd", READY_FD) if ready else ()
        argv = (sys.executable, "-S", str(CHILD), "--log", str(self.directory / name), *options, *handshake)
        return Program(name, argv, reloads=reloads)

    def log(self, name: str) -> list[str]:
        path = self.directory / name
        return path.read_text().split("\n")[:-1] if path.exists() else []

    def pids(self) -> list[int]:
        lines = [line for path in self.directory.iterdir() for line in path.read_text().splitlines()]
        return [int(line.split()[1]) for line in lines if line.startswith("start ")]


@pytest.fixture
def stage(tmp_path):
    """No test leaves a process behind."""
    stage = Stage(tmp_path)
    yield stage
    assert [pid for pid in stage.pids() if alive(pid)] == []


def supervisor(*programs: Program, **options) -> Supervisor:
    return Supervisor(programs, wall=lambda: 0.0, **options)


async def until(condition) -> None:
    """Real processes write logs; there is nothing to wait on but the file."""
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


def still(main) -> None:
    """Run it where no time passes but what the test lets pass: nothing can be owed to the end of the drain time."""
    trio.run(main, clock=MockClock())


class Run:
    """A supervisor that runs, and what its run gave."""

    def __init__(self, control: Supervisor) -> None:
        self.control = control
        self.results: list[bool] = []

    async def __call__(self) -> None:
        self.results.append(await self.control.run())


def test_ready_only_when_all_are_ready_and_then_drained(stage):
    async def main():
        states = []
        control = supervisor(stage.program("a"), stage.program("b"), publish=states.append)
        async with trio.open_nursery() as nursery:
            await nursery.start(control.run)
            assert [(p["name"], p["state"], p["listen"]) for p in control.state()["processes"]] == [
                ("a", "ready", "127.0.0.1:1"),
                ("b", "ready", "127.0.0.1:1"),
            ]
            assert states[0]["ready"] is False
            assert states[-1]["ready"] is True
            control.stop()

    trio.run(main)
    assert [stage.log(name)[1:] for name in "ab"] == [["term"], ["term"]]


def test_a_failing_start_stops_the_rest_and_gives_its_exit_code(stage, tmp_path_factory):
    output = tmp_path_factory.mktemp("stderr") / "stderr"

    async def main(stderr):
        control = supervisor(stage.program("good"), stage.program("bad", "--fail", "2"), stderr=stderr)
        await control.run()

    with (
        output.open("wb") as stderr,
        pytest.raises(ProcessFailedError, match=r"bad did not start \(exit code 2\)") as e,
    ):
        trio.run(main, stderr)
    assert e.value.code == 2
    assert output.read_text() == "fake: 127.0.0.1:1 is in use\n"


def test_a_program_that_does_not_exist_is_a_local_error():
    with pytest.raises(LocalError, match="gone cannot be started: /no/such: No such file"):
        trio.run(supervisor(Program("gone", ("/no/such",))).run)


def test_a_ready_line_that_says_something_else_is_a_local_error(stage):
    with pytest.raises(LocalError, match="odd said something else than that it is ready"):
        trio.run(supervisor(stage.program("odd", "--say", "[1]")).run)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_that_dies_is_started_again_and_the_others_stay(stage, number):
    async def main():
        control = supervisor(stage.program("a"), stage.program("b"))
        async with trio.open_nursery() as nursery:
            await nursery.start(control.run)
            first, other = control.pid("a"), control.pid("b")
            os.kill(first, number)
            await until(lambda: control.pid("a") not in {first, None} and control.state()["processes"][0]["pid"])
            await until(lambda: control.state()["processes"][0]["state"] == "ready")
            a, b = control.state()["processes"]
            assert (a["restarts"], b["restarts"], b["pid"]) == (1, 0, other)
            assert a["last_exit"] == ("killed by SIGKILL" if number == signal.SIGKILL else "exit code 0")
            control.stop()

    trio.run(main)


def test_one_that_fails_at_a_restart_is_tried_again(stage):
    """`--fail` only from the second start on: the log file tells the child that it has run before."""

    async def main():
        script = (
            "import os, sys, signal, pathlib\n"
            "log = pathlib.Path(sys.argv[1]); runs = log.read_text().count('start') if log.exists() else 0\n"
            "log.open('a').write(f'start {os.getpid()}\\n')\n"
            "if runs == 1: sys.exit(1)\n"
            "os.write(int(sys.argv[2]), b'{\"ready\": true}\\n'); os.close(int(sys.argv[2]))\n"
            "signal.pause()\n"
        )
        argv = (sys.executable, "-S", "-c", script, str(stage.directory / "a"), READY_FD)
        control = supervisor(Program("a", argv))
        async with trio.open_nursery() as nursery:
            await nursery.start(control.run)
            os.kill(control.pid("a"), signal.SIGKILL)
            await until(lambda: len(stage.pids()) == 3 and control.state()["processes"][0]["state"] == "ready")
            assert control.state()["processes"][0]["restarts"] == 2
            control.stop()

    trio.run(main)


def test_one_that_does_not_end_is_killed_after_the_drain_time(stage):
    async def main():
        run = Run(supervisor(stage.program("a", "--ignore-term"), stage.program("b")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until_real(lambda: run.control.ready)
            run.control.stop()
            await until_real(lambda: "term" in stage.log("a"))
            await until_real(lambda: run.control.pid("b") is None)
            clock.jump(9.9)
            for _ in range(100):
                await trio.lowlevel.checkpoint()
            assert alive(run.control.pid("a"))
            clock.jump(0.1)
            await until_real(lambda: run.results == [False])

    clock = MockClock()
    trio.run(main, clock=clock)


def test_a_second_stop_kills_at_once(stage):
    async def main():
        run = Run(supervisor(stage.program("a", "--ignore-term")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until_real(lambda: run.control.ready)
            run.control.stop()
            await until_real(lambda: "term" in stage.log("a"))
            assert alive(*stage.pids())
            run.control.stop()
            await until_real(lambda: run.results == [False], "it killed, and said so")

    still(main)


def test_a_stop_while_starting_is_no_failure(stage):
    async def main():
        run = Run(supervisor(stage.program("slow", "--never-ready")))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until_real(stage.pids)
            run.control.stop()
            await until_real(lambda: run.results == [True], "all ended in time")
            assert not run.control.ready

    still(main)
    assert stage.log("slow")[1:] == ["term"]


def test_one_that_is_late_is_named_and_left_alone(stage, caplog):
    clock = MockClock()

    def named():
        return [record.legation_fields for record in caplog.records if "still waiting" in record.message]

    async def main():
        control = supervisor(stage.program("late", "--never-ready"), stage.program("b"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(control.run)
            await until_real(lambda: control.state()["processes"][1]["state"] == "ready" and stage.pids())
            for times in (1, 2):
                clock.jump(10.0)
                await until_real(lambda times=times: len(named()) == times)
            assert control.pid("late") is not None
            assert not control.ready
            control.stop()

    trio.run(main, clock=clock)
    assert named() == [{"program": "late"}, {"program": "late"}]


@pytest.mark.parametrize("stubborn", [False, True])
def test_cancellation_leaves_no_process(stage, stubborn):
    """Asked to end at once, and killed after the drain time only where that is needed."""

    async def main():
        control = supervisor(stage.program("a", *(["--ignore-term"] if stubborn else [])), stage.program("b"))
        scope, over = trio.CancelScope(), trio.Event()

        async def run():
            with scope:
                await control.run()
            over.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await until_real(lambda: control.ready)
            assert [alive(pid) for pid in stage.pids()] == [True, True]
            scope.cancel()
            await until_real(lambda: stage.log("a")[1:] == stage.log("b")[1:] == ["term"])
            if stubborn:
                clock.jump(10.0)
            await until_real(over.is_set)

    clock = MockClock()
    trio.run(main, clock=clock)
    assert [alive(pid) for pid in stage.pids()] == [False, False]


def test_reload_reaches_those_that_can(stage):
    async def main():
        control = supervisor(stage.program("a", reloads=True), stage.program("b"))
        async with trio.open_nursery() as nursery:
            await nursery.start(control.run)
            control.reload()
            await until(lambda: "hup" in stage.log("a"))
            control.stop()

    trio.run(main)
    assert "hup" not in stage.log("b")


def test_children_die_with_the_supervisor(stage):
    """Also with one that is killed: the kernel ends them."""
    script = (
        "import sys, os, trio\n"
        "from legation.process import READY_FD, Program\n"
        "from legation.supervisor import Supervisor\n"
        "argv = tuple(READY_FD if word == '@' else word for word in sys.argv[1:])\n"
        "async def main():\n"
        "    control = Supervisor([Program('a', argv)], wall=lambda: 0.0)\n"
        "    async with trio.open_nursery() as nursery:\n"
        "        await nursery.start(control.run)\n"
        "        os.kill(os.getpid(), 9)\n"
        "trio.run(main)\n"
    )

    async def main():
        inner = ["@" if word == READY_FD else word for word in stage.program("a").argv]
        argv = (sys.executable, "-P", "-c", script, *inner)
        child = spawn(Program("supervisor", argv))
        assert await child.wait() == -signal.SIGKILL
        child.close()
        await until(lambda: not alive(stage.pids()[0]))

    trio.run(main)


def alive(pid: int) -> bool:
    """A zombie that nobody reaps here is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_back_off_doubles_to_five_seconds_and_forgets_after_a_stable_time():
    back_off = BackOff()
    waits = [back_off.after(0.0) for _ in range(8)]
    assert waits[:3] == [FIRST_S, 0.2, 0.4]
    assert waits[-1] == LONGEST_S
    assert back_off.after(STABLE_S) == FIRST_S


@pytest.mark.parametrize(
    ("code", "text"), [(0, "exit code 0"), (-9, "killed by SIGKILL"), (-99, "killed by signal 99")]
)
def test_exit_codes_in_words(code, text):
    assert describe_exit(code) == text
