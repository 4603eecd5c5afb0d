"""Resources written in Python: decodes what the child `python -m xds.resources.evaluate FILE` printed.

The child runs people's code and may print anything at all, so this is a parser of foreign bytes. The format is a
sequence of frames, each four bytes of length (big endian) and as many bytes: first a JSON object, then the body of each
resource that it lists. `{"error": {"message": …, "line": …, "column": …, "kind": …}}` alone says what went wrong, where
`kind` is the class of the exception if people's code raised one. Its text is shown if it cannot be a key.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from xds import names
from xds.api.canonical import canonical
from xds.api.descriptors import UnknownType, envoy_api
from xds.api.faults import FieldFault
from xds.api.paths import steps_text
from xds.api.quoting import NAME_CHARS_MAX, SENTENCE_CHARS_MAX, WITHHELD, quoted, revealing, sentence
from xds.config import resource as resources
from xds.config.files import ParsedFile, duplicates, warnings_of
from xds.config.problems import FileError, Problem
from xds.config.resource import Resource
from xds.config.scope import Selector, parse_selectors

LENGTH_BYTES: Final = 4


class _Garbled(Exception):  # noqa: N818 - a signal inside this module
    """These bytes are not what our child prints."""


def decode(path: str, output: bytes) -> ParsedFile:
    """Read what the child printed. Raises `FileError`."""
    try:
        frames = _frames(output)
        header = _header(next(frames, b""))
        _refuse_error(path, header)
        entries = [_entry(entry) for entry in _list(header.get("resources"))]
        items = [(*entry, body) for entry, body in zip(entries, frames, strict=True)]
        return _parsed(path, header, items)
    except (_Garbled, ValueError):
        raise FileError.of(
            path, "was evaluated, but what came of it cannot be read (was the process stopped?)"
        ) from None


def last_words(printed: str) -> str:
    """The last line that a child printed, to stand behind how it ended; nothing of it if there is a key anywhere."""
    last = printed.strip().rpartition("\n")[2]
    return f": {WITHHELD if revealing(printed) else quoted(last, SENTENCE_CHARS_MAX)}" if last else ""


def _parsed(path: str, header: dict[str, Any], items: list[tuple[str, str, int, bytes]]) -> ParsedFile:
    problems: list[Problem] = []
    selectors = _selectors(path, header, problems)
    found: list[Resource] = []
    for type_url, name, line, body in items:
        try:
            found.append(_resource(path, type_url, line, body))
        except FieldFault as fault:
            problems.append(Problem(path, fault.reason, line, 0, _title(type_url, name), fault.path))
        except UnknownType as error:
            problems.append(Problem(path, str(error), line, 0, _title(type_url, name)))
    problems += duplicates(found)
    if problems:
        raise FileError(problems)
    return ParsedFile(path, selectors, tuple(found), warnings_of(found))


def _title(type_url: str, name: str) -> str:
    return resources.title(type_url if envoy_api().known(type_url) else "a resource", name)


def _resource(path: str, type_url: str, line: int, body: bytes) -> Resource:
    resources.refuse_type(type_url)
    message = canonical(type_url.removeprefix(names.PREFIX), body)
    return resources.make_resource(type_url, resources.name_of(type_url, message), message, path, line)


def _selectors(path: str, header: dict[str, Any], problems: list[Problem]) -> tuple[Selector, ...]:
    if header.get("nodes") is None:
        return ()
    selectors, faults = parse_selectors(header["nodes"])
    problems += [Problem(path, reason, field=steps_text(("nodes", *where))) for where, reason in faults]
    return selectors


def _refuse_error(path: str, header: dict[str, Any]) -> None:
    error = header.get("error")
    if error is None:
        return
    if not isinstance(error, dict):
        raise _Garbled
    message, line, column = error.get("message"), error.get("line", 0), error.get("column", 0)
    if not isinstance(message, str) or not isinstance(line, int) or not isinstance(column, int):
        raise _Garbled
    raise FileError.of(path, _told(error.get("kind"), message), line, column)


def _told(kind: Any, message: str) -> str:
    if not isinstance(kind, str) or not kind:
        return sentence(message)
    name = kind if kind.isidentifier() and len(kind) <= NAME_CHARS_MAX and not revealing(kind) else "an exception"
    return f"{name}: {sentence(message)}" if message else name


def _entry(entry: Any) -> tuple[str, str, int]:
    if isinstance(entry, dict):
        type_url, name, line = entry.get("type_url"), entry.get("name"), entry.get("line")
        if isinstance(type_url, str) and isinstance(name, str) and isinstance(line, int):
            return type_url, name, line
    raise _Garbled


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _Garbled
    return value


def _header(frame: bytes) -> dict[str, Any]:
    try:
        header = json.loads(frame)
    except (ValueError, RecursionError):
        raise _Garbled from None
    if not isinstance(header, dict):
        raise _Garbled
    return header


def _frames(output: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(output):
        end = at + LENGTH_BYTES + int.from_bytes(output[at : at + LENGTH_BYTES])
        if at + LENGTH_BYTES > len(output) or end > len(output):
            raise _Garbled
        yield output[at + LENGTH_BYTES : end]
        at = end
