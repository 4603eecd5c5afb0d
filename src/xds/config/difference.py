"""What brings a view from one state to the next, from the files that changed."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from xds.config.files import ParsedFile
from xds.config.index import Edits, Key
from xds.config.scope import ScopeKey
from xds.engine.record import Record


def difference(
    edits: Edits, files: Mapping[str, ParsedFile], key_old: ScopeKey, key_new: ScopeKey
) -> tuple[list[Record], list[Key]]:
    """Upserts and removals for a view whose scope was one and is the other. `files` are those of the new state.

    Files that neither changed nor entered or left the scope are not looked at.
    """
    gone: dict[Key, Record] = {}
    come: list[ParsedFile] = []
    for old, new in _pairs(edits, files, key_old, key_new):
        if old is not None and _within(old, key_old):
            gone.update(old.records)
        if new is not None and _within(new, key_new):
            come.append(new)
    upserts: list[Record] = []
    for file in come:
        for name, record in file.records.items():
            known = gone.pop(name, None)
            if known is None or known.version != record.version:
                upserts.append(record)
    return upserts, list(gone)


def _pairs(
    edits: Edits, files: Mapping[str, ParsedFile], key_old: ScopeKey, key_new: ScopeKey
) -> Iterator[tuple[ParsedFile | None, ParsedFile | None]]:
    yield from edits.values()
    if key_old != key_new:
        for path in sorted({*key_old} ^ {*key_new}):
            if path not in edits:
                file = files.get(path)
                yield file, file


def _within(file: ParsedFile, key: ScopeKey) -> bool:
    if not file.selectors:
        return True
    at = bisect_left(key, file.path)  # a key is in order
    return at < len(key) and key[at] == file.path
