"""Reads entries from files: one state, or every reason why there is none. Meant for a thread, as it takes its time.

Whoever can write into the directory can put there what is no file. Nothing of it may block: a FIFO would wait for its
other end for ever.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any, Final

import yaml

from ca.identity.entries import Entry, check_unique, parse_entries, summary
from xds.errors import ConfigError
from xds.limits import ENTRIES_FILE_BYTES_MAX

SUFFIXES: Final = (".yaml", ".yml", ".json")

_MERGE: Final = "tag:yaml.org,2002:merge"


def read_directory(directory: Path, trust_domain: str, ttl_max_s: int | None = None) -> tuple[Entry, ...]:
    """All entries, in the order of the files' names. Raises `ConfigError` that names the bad files."""
    entries: list[Entry] = []
    problems: list[str] = []
    for path in _files(directory):
        try:
            entries += read_file(path, trust_domain, ttl_max_s)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError(summary(problems))
    check_unique(entries)
    return tuple(entries)


def read_file(path: Path, trust_domain: str, ttl_max_s: int | None = None) -> tuple[Entry, ...]:
    """The entries of one file. Raises `ConfigError` with file and line."""
    where = printable(str(path))
    raw = _content(path, where)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{where}: is no UTF-8 text (byte {error.start})") from error
    data, lines = _yaml(where, text)
    return parse_entries(data, trust_domain=trust_domain, file=where, lines=lines, ttl_max_s=ttl_max_s)


def printable(text: str) -> str:
    """A file's name for people, logs and JSON: names may hold anything, also what is no text."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def _content(path: Path, where: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError(f"{where}: is no regular file")
            raw = file.read(ENTRIES_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{where}: cannot be read: {error.strerror or error}") from error
    if len(raw) > ENTRIES_FILE_BYTES_MAX:
        raise ConfigError(f"{where}: is larger than {ENTRIES_FILE_BYTES_MAX} bytes: make several files of it")
    return raw


def _files(directory: Path) -> list[Path]:
    try:
        found = [path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith(".")]
    except OSError as error:
        raise ConfigError(f"{printable(str(directory))}: cannot be read: {error.strerror or error}") from error
    return sorted(found)


def _yaml(where: str, text: str) -> tuple[Any, list[int]]:
    """The data, and the line of each entry."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is not None and mark.line > text.rstrip().count("\n"):
            mark = error.context_mark or mark  # of what has no end, the begin is to be looked at
        place = f"{where}:{mark.line + 1}:{mark.column + 1}" if mark else where
        raise ConfigError(f"{place}: {error.problem or 'is no YAML'}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{where}: is no YAML: {re.sub(r'[^ -~]+', ' ', str(error))[:200]}") from error
    return data, _lines(node)


def _lines(node: yaml.Node | None) -> list[int]:
    if isinstance(node, yaml.MappingNode) and len(node.value) == 1:
        node = node.value[0][1]
    return [item.start_mark.line + 1 for item in node.value] if isinstance(node, yaml.SequenceNode) else []


class _Loader(yaml.CSafeLoader):
    """Safe YAML in which a key that stands twice is an error, not the last one's victory; and nothing multiplies."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 (PyYAML's signature)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE:
                raise yaml.constructor.ConstructorError(None, None, "merge keys (<<) are not read here", key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                problem = f"the key {key.value!a} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
