"""Log lines of every process: the standard library's logging to stderr, text for people or JSON for programs.

One vocabulary of fields: time level process event node type version nonce resource file line error (and what
certificates need: spiffe_id, serial, not_after, code). Values are names and numbers; never a resource's body, never key
material, never a rejected secret's text.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Final, TextIO

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
FIELD_CHARS_MAX: Final = 4096
"""Of one value: the longest SPIFFE ID escaped, with room for its sentence."""

_FIELDS: Final = "legation_fields"


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log one event. Fields that are None or empty are left out."""
    if logger.isEnabledFor(level):
        kept = {key: value for key, value in fields.items() if value is not None and value != ""}
        logger.log(level, "%s", name, extra={_FIELDS: kept})


def configure(process: str, *, level: str, log_format: str, stream: TextIO | None = None) -> None:
    """Send every log line of this process to stderr. Called once, by a composition root."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter(process) if log_format == "json" else TextFormatter(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("asyncio", "hypercorn.error", "hypercorn.access", "httpx", "httpcore", "grpc._cython.cygrpc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class TextFormatter(logging.Formatter):
    """For people: `12:00:01 INFO signer issued serial=1f node=web`."""

    def __init__(self, process: str) -> None:
        super().__init__(datefmt="%H:%M:%S")
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the values hold (identity 38)."""
        fields = "".join(f" {key}={_text(value)}" for key, value in _fields_of(record).items())
        what = _bare(record.getMessage())
        return f"{self.formatTime(record, self.datefmt)} {record.levelname} {self._process} {what}{fields}"


class JsonFormatter(logging.Formatter):
    """For programs: one object a line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line; what JSON does not know is written as text."""
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "process": self._process,
            "event": record.getMessage(),
        }
        line.update({key: _plain(value) for key, value in _fields_of(record).items()})
        return json.dumps(line)


def _fields_of(record: logging.LogRecord) -> dict[str, object]:
    fields = dict(getattr(record, _FIELDS, {}))
    if record.exc_info:
        fields["error"] = logging.Formatter().formatException(record.exc_info)  # names and lines, never values
    return fields


def _plain(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= FIELD_CHARS_MAX else text[:FIELD_CHARS_MAX] + "…"


def _text(value: object) -> str:
    plain = _plain(value)
    if not isinstance(plain, str):
        return str(plain)
    simple = plain.isprintable() and not any(mark in plain for mark in ' "=\\')
    return plain if simple else json.dumps(plain)


def _bare(text: str) -> str:
    return text if text.isprintable() else ascii(text)
