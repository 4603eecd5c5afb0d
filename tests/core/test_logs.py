"""Log lines of the `ca` processes: one line each, whatever the values are."""

from __future__ import annotations

import io
import json
import logging

import pytest

from xds import logs


@pytest.fixture
def lines(monkeypatch):
    """Configure on the side, and give the root logger back afterwards."""
    root = logging.getLogger()
    before = list(root.handlers), root.level
    stream = io.StringIO()

    def configured(form, level="info"):
        logs.configure("signer", level=level, log_format=form, stream=stream)
        return stream

    yield configured
    root.handlers[:], level = before
    root.setLevel(level)


def test_text(lines):
    stream = lines("text")
    logs.event(logging.getLogger("x"), logging.INFO, "issued", node="web-1", serial="1f", empty="", nothing=None)
    assert stream.getvalue()[8:] == " INFO signer issued node=web-1 serial=1f\n"


def test_json(lines):
    stream = lines("json")
    logs.event(logging.getLogger("x"), logging.WARNING, "refused", code="csr", count=3)
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "process": "signer", "event": "refused", "code": "csr", "count": 3}


@pytest.mark.parametrize("form", logs.FORMATS)
def test_38_a_hostile_value_stays_on_one_line_escaped_and_bounded(lines, form):
    stream = lines(form)
    hostile = "\x1b[31m\n\r\u2028 x" * 2000
    logs.event(logging.getLogger("x"), logging.WARNING, "refused\nline", spiffe_id=hostile)
    text = stream.getvalue()
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text
    assert len(text) < 8 * logs.FIELD_CHARS_MAX


def test_below_its_level_nothing_is_written(lines):
    stream = lines("text", level="warning")
    logs.event(logging.getLogger("x"), logging.INFO, "issued")
    assert stream.getvalue() == ""
