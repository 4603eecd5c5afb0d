"""The runtime of a process: uvloop carries grpc.aio, and trio runs on it as a guest, in the same thread.

Everything but the edge is written for trio and need not know. `call` is the one way from trio to the host loop and
back; it costs a wake-up of the guest (about 100 µs), so it is for what is rare: starting, draining, stopping.
The other direction needs no bridge: trio's synchronous functions work in the host's callbacks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import outcome
import trio
import uvloop

from xds.edge import descriptors

T = TypeVar("T")


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run a trio program on a host loop that grpc.aio can use, and return its result.

    SIGINT and SIGTERM are the program's business (`trio.open_signal_receiver`); until it has opened a receiver they do
    what they do under `trio.run`.
    """
    descriptors.raise_limit()
    loop = uvloop.new_event_loop()
    try:
        return loop.run_until_complete(_host(main))
    finally:
        _finish(loop)


async def call(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of the host loop from a trio task and wait for it.

    A cancelled caller cancels the coroutine and still waits for its end, so nothing goes on unseen.
    """
    waiting = trio.lowlevel.current_task()
    running = asyncio.get_running_loop().create_task(coroutine)
    cancelled: list[Callable[[], None]] = []

    def ended(task: asyncio.Task[T]) -> None:
        trio.lowlevel.reschedule(waiting, _outcome_of(task))

    def abort(raise_cancel: Callable[[], Any]) -> trio.lowlevel.Abort:
        cancelled.append(raise_cancel)
        running.cancel()
        return trio.lowlevel.Abort.FAILED

    running.add_done_callback(ended)
    try:
        return cast("T", await trio.lowlevel.wait_task_rescheduled(abort))
    except asyncio.CancelledError:
        if cancelled:
            cancelled[0]()
        raise RuntimeError("a coroutine of the host loop was cancelled from elsewhere") from None
    finally:
        cancelled.clear()


async def _host(main: Callable[[], Awaitable[T]]) -> T:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[outcome.Outcome[T]] = loop.create_future()
    trio.lowlevel.start_guest_run(
        main,
        run_sync_soon_threadsafe=loop.call_soon_threadsafe,
        run_sync_soon_not_threadsafe=loop.call_soon,
        done_callback=done.set_result,
        host_uses_signal_set_wakeup_fd=True,
    )
    return (await done).unwrap()


def _outcome_of(task: asyncio.Task[T]) -> outcome.Outcome[T]:
    if task.cancelled():
        return outcome.Error(asyncio.CancelledError())
    error = task.exception()
    return outcome.Value(task.result()) if error is None else outcome.Error(error)


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """End what the program left on the host loop, as `asyncio.run` does."""
    try:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
