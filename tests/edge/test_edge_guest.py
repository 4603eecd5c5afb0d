from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest
import trio

from xds.edge import guest


def test_a_trio_program_returns_its_result() -> None:
    async def main() -> str:
        await trio.lowlevel.checkpoint()
        return "done"

    assert guest.run(main) == "done"


def test_its_error_comes_out_as_it_is() -> None:
    async def main() -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        guest.run(main)


def test_call_crosses_to_the_host_and_back() -> None:
    async def on_host(value: int) -> int:
        await asyncio.sleep(0)
        return value + 1

    async def main() -> int:
        return await guest.call(on_host(1))

    assert guest.run(main) == 2


def test_call_raises_what_the_coroutine_raised() -> None:
    async def on_host() -> None:
        raise KeyError("host")

    async def main() -> None:
        with pytest.raises(KeyError, match="host"):
            await guest.call(on_host())

    guest.run(main)


def cancelled_once_it_runs(on_host):
    """Call a coroutine function of the host, and cancel the call when it has begun. Returns (scope, its result)."""
    results = []

    async def main() -> trio.CancelScope:
        begun = trio.Event()
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:

                async def cancel() -> None:
                    await begun.wait()
                    scope.cancel()

                nursery.start_soon(cancel)
                results.append(await guest.call(on_host(begun)))
        return scope

    return guest.run(main), results


def test_a_cancelled_caller_cancels_the_coroutine_and_waits_for_its_end() -> None:
    events = []

    async def on_host(begun) -> None:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            events.append("ended")

    scope, results = cancelled_once_it_runs(on_host)
    assert scope.cancelled_caught
    assert (events, results) == (["ended"], [])


def test_a_result_that_was_there_first_is_not_lost_to_a_cancellation() -> None:
    async def on_host(begun) -> str:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return "kept"
        return "never"

    _, results = cancelled_once_it_runs(on_host)
    assert results == ["kept"]


def test_a_coroutine_that_is_cancelled_from_elsewhere_is_our_error() -> None:
    async def on_host() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="cancelled from elsewhere"):
            await guest.call(on_host())

    guest.run(main)


def test_tasks_that_are_left_on_the_host_are_ended() -> None:
    ended = []

    async def on_host() -> None:
        async def forever() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                ended.append(True)

        ended.append(asyncio.get_running_loop().create_task(forever()))

    async def main() -> None:
        await guest.call(on_host())

    guest.run(main)
    assert ended[-1] is True


PROGRAM = """
import os, signal, sys, trio
from xds.edge import guest

async def main():
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        print("ready", flush=True)
        async for number in signals:
            print(signal.Signals(number).name, flush=True)
            if number == signal.SIGTERM:
                return

guest.run(main)
"""


def test_signals_reach_trio() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(child.pid, number)
            assert child.stdout.readline() == f"{number.name}\n"
        assert child.wait(timeout=20) == 0
