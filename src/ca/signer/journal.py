"""The record of what was going to be signed and what was: JSON lines, on the disk before the act. Never a key.

Append-only segments of bounded size in one directory. A line that a crash tore is cut off before the next one is
written; a write that fails is cut off at once, so that no line ever continues another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ca.clock import Wall
from ca.errors import LocalError, RefusedError
from ca.signer import files
from ca.signer.issuer import Intent, Issued

SEGMENT_BYTES_MAX: Final = 4 * 1024 * 1024
"""About 6,000 certificates."""

SEGMENTS_MAX: Final = 256
"""One GiB. Older segments go; what they name ended long ago."""

READ_SEGMENTS: Final = 2
"""Read at the start: enough for the keys that are in use, and a start stays quick."""

_SEGMENT = re.compile(r"\d{8}\.jsonl", re.ASCII)
_AUTHORITY_EVENTS: Final = frozenset({"intent", "issued", "failed"})

Row = Mapping[str, Any]


class Journal:
    """The journal of one signer. One process writes it (the data directory is locked)."""

    def __init__(self, directory: Path, wall: Wall, *, segment_bytes_max: int = SEGMENT_BYTES_MAX) -> None:
        """Look at the directory; nothing is written before the first row. Raises `ConfigError`."""
        files.make_directory(directory)
        self.__directory = directory
        self.__wall = wall
        self.__segment_bytes_max = segment_bytes_max
        self.__number = 0
        self.__descriptor = -1
        self.__size = 0

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self.__directory

    def close(self) -> None:
        """Nothing is buffered; the descriptor is given back."""
        if self.__descriptor >= 0:
            os.close(self.__descriptor)
        self.__descriptor = -1

    def intents(self, intents: Sequence[Intent]) -> None:
        """Rows of what will be signed. Raises `LocalError`: then nothing may be signed."""
        self.__append([{"event": "intent", **_described(intent)} for intent in intents])

    def results(self, results: Sequence[Issued | RefusedError], intents: Sequence[Intent]) -> None:
        """Rows of what was signed. Raises `LocalError`: then nothing may be handed out."""
        self.__append([_result(result, intent) for result, intent in zip(results, intents, strict=True)])

    def event(self, event: str, **fields: str | int | bool | None) -> None:
        """A row about the authority itself. Raises `LocalError`."""
        self.__append([{"event": event, **fields}])

    def rows(self) -> Iterator[Row]:
        """The last rows, oldest first. Raises `LocalError` for a line that is no row."""
        for path in self.__segments()[-READ_SEGMENTS:]:
            yield from _rows(path)

    def began(self) -> bool:
        """True if an authority was ever taken into use here; a first start that broke off does not count."""
        return any(
            row.get("event") not in _AUTHORITY_EVENTS or row.get("kind") not in {"root", "intermediate"}
            for row in self.rows()
        )

    def __append(self, rows: Iterable[Row]) -> None:
        stamp = self.__wall().astimezone(UTC).isoformat(timespec="milliseconds")
        data = b"".join(_line({"time": stamp, **row}) for row in rows)
        try:
            if self.__descriptor < 0:
                segments = self.__segments()
                self.__open(int(segments[-1].stem) if segments else 1)
            if self.__size >= self.__segment_bytes_max:
                self.__open(self.__number + 1)
            self.__write(data)
        except OSError as error:
            raise LocalError(
                f"the journal in {self.__directory} cannot be written ({error.strerror}): nothing is signed"
            ) from None

    def __write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.__descriptor, view) :]
            os.fdatasync(self.__descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self.__descriptor, self.__size)
            raise
        self.__size += len(data)

    def __open(self, number: int) -> None:
        descriptor, size = _open_segment(self.__directory / f"{number:08}.jsonl")
        self.close()
        self.__number, self.__descriptor, self.__size = number, descriptor, size
        for old in self.__segments()[:-SEGMENTS_MAX]:
            files.remove(old)

    def __segments(self) -> list[Path]:
        return sorted(path for path in self.__directory.iterdir() if _SEGMENT.fullmatch(path.name))


def fingerprint(certificate_der: bytes) -> str:
    """SHA-256 of a certificate, the name under which it is found again."""
    return hashlib.sha256(certificate_der).hexdigest()


def _described(intent: Intent) -> dict[str, Any]:
    order, window = intent.order, intent.window
    return {
        "kind": str(order.kind),
        "spiffe_id": str(order.spiffe_id),
        "node": order.node,
        "request_id": order.request_id,
        "serial": f"{intent.serial:x}",
        "spki": order.spki_sha256,
        "issuer": intent.issuer,
        "issued_at": _seconds(window.issued_at),
        "not_before": _seconds(window.not_before),
        "not_after": _seconds(window.not_after),
        "truncated": window.truncated,
    }


def _result(result: Issued | RefusedError, intent: Intent) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": str(intent.order.kind), "serial": f"{intent.serial:x}"}
    if isinstance(result, RefusedError):
        return {"event": "failed", **row, "code": str(result.code)}
    return {"event": "issued", **row, "fingerprint": fingerprint(result.chain_der[0])}


def _seconds(instant: datetime) -> int:
    return int(instant.timestamp())


_encode: Callable[[object], str] = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode


def _line(row: Row) -> bytes:
    return _encode(row).encode("ascii") + b"\n"


def _open_segment(path: Path) -> tuple[int, int]:
    """Open for appending, a torn last line cut off. Returns descriptor and size."""
    if path.exists() or path.is_symlink():
        files.check_file(path)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    size = os.fstat(descriptor).st_size
    whole = _whole_lines(descriptor, size)
    if whole != size:
        os.ftruncate(descriptor, whole)
        os.fsync(descriptor)
    files.sync_directory(path.parent)
    return descriptor, whole


def _whole_lines(descriptor: int, size: int) -> int:
    """How many bytes there are up to and with the last line end."""
    block = 64 * 1024
    end = size
    while end > 0:
        start = max(0, end - block)
        newline = os.pread(descriptor, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _rows(path: Path) -> Iterator[Row]:
    files.check_file(path)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # torn by a crash; cut off by the next row
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise LocalError(
                    f"{path}:{number} is no row of a journal: the file is damaged. Move it aside, and keep it for an "
                    "inquiry; the authority itself is in the key store"
                )
            yield row
