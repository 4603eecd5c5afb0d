"""One line an event, whatever its values hold; and signals, and the ready line."""

from __future__ import annotations

import io
import json
import logging
import os
import signal

import pytest
import trio
from control_support import run

from xds import logs, process
from xds.control import handshake


@pytest.fixture
def written():
    """What a logger of the process writes, in either format."""

    def write(log_format: str, name: str, **fields: object) -> str:
        stream = io.StringIO()
        formatter = {"text": logs.TextFormatter, "json": logs.JsonFormatter}[log_format]("xds")
        handler = logging.StreamHandler(stream)
        handler.setFormatter(formatter)
        logger = logging.Logger("test")  # noqa: LOG001 (one that nobody else has)
        logger.addHandler(handler)
        logs.event(logger, logging.INFO, name, **fields)
        return stream.getvalue()

    return write


def test_text_is_for_people(written):
    line = written("text", "published", change=3, files=2, error=None, node="")
    assert line[8:] == " INFO xds published change=3 files=2\n"


def test_json_is_one_object_with_the_same_words(written):
    line = json.loads(written("json", "published", change=3, error=ValueError("no")))
    assert line.pop("time").endswith("Z")
    assert line == {"level": "info", "process": "xds", "event": "published", "change": 3, "error": "no"}


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_can_forge_a_line(written, log_format):
    line = written(log_format, "rejected", node="a\n12:00:00 ERROR xds forged", error='"x" y=z')
    assert line.count("\n") == 1
    assert line.endswith("\n")


def test_a_value_is_cut(written):
    assert len(written("text", "rejected", error="x" * 100_000)) < 2 * logs.FIELD_CHARS_MAX


def test_the_first_signal_asks_for_the_end_and_hands_the_next_to_the_kernel():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}

    async def main() -> None:
        shutdown, reloaded = trio.Event(), trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(process.follow_signals, shutdown, reloaded.set)
            signal.raise_signal(signal.SIGHUP)
            await reloaded.wait()
            assert not shutdown.is_set()
            signal.raise_signal(signal.SIGTERM)
            await shutdown.wait()

    try:
        run(main)
        assert signal.getsignal(signal.SIGTERM) == signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_ready_line_is_written_once_and_the_descriptor_closed():
    read_fd, write_fd = os.pipe()
    line = handshake.ready_line(handshake.Bound(listen="127.0.0.1:1", admin="/a.sock"), 7)
    process.announce(write_fd, line)
    with os.fdopen(read_fd, "rb") as pipe:
        said = json.loads(pipe.read())
    assert said == {
        "ready": True,
        "listen": "127.0.0.1:1",
        "plaintext": None,
        "http": None,
        "admin": "/a.sock",
        "pid": 7,
    }
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(write_fd)


def test_a_parent_that_is_gone_does_not_matter():
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    process.announce(write_fd, b"{}\n")
