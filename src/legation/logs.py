"""The supervisor's own log lines, in the form that xds and ca use: text for people, or JSON, one object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Final, TextIO

PROCESS: Final = "legation"
_FIELDS: Final = "legation_fields"


def event(logger: logging.Logger, level: int, name: str, **fields: object) -> None:
    """Log one event. Fields that are None or empty are left out."""
    kept = {key: value for key, value in fields.items() if value not in {None, ""}}
    logger.log(level, name, extra={_FIELDS: kept})


def configure(*, level: str, log_format: str, stream: TextIO) -> None:
    """Send every log line of this process to the stream. Called once, by a composition root."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Json() if log_format == "json" else _Text(datefmt="%H:%M:%S"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in ("httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_shown(value)}" for key, value in getattr(record, _FIELDS, {}).items())
        when = self.formatTime(record, self.datefmt)
        return f"{when} {record.levelname} {PROCESS} {record.getMessage()}{fields}"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"time": when, "level": record.levelname.lower(), "process": PROCESS, "event": record.getMessage()}
        return json.dumps(line | getattr(record, _FIELDS, {}), ensure_ascii=False, default=str)


def _shown(value: object) -> str:
    text = str(value)
    simple = text.isprintable() and not any(mark in text for mark in ' "=\\')
    return text if simple else json.dumps(text, ensure_ascii=False)
