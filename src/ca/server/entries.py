"""Reads the entries directory, and keeps the last good state while a file is bad.

All files are one state: an entry that is refused leaves everything as it was, because dropping the rest would take
certificates away from nodes that nobody wanted to touch.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import trio
import yaml

from ca.identity.entries import Entry, check_unique, parse_entries
from xds.edge.watch import changes
from xds.errors import ConfigError
from xds.limits import CONFIG_FILE_BYTES_MAX, DEBOUNCE_S
from xds.logs import event

SUFFIXES: Final = (".yaml", ".yml", ".json")

log = logging.getLogger(__name__)


class EntryBook:
    """The entries that count now, and what is wrong with the files. `on_change` is called with each new good state."""

    def __init__(self, directory: Path, trust_domain: str, on_change: Callable[[tuple[Entry, ...]], None]) -> None:
        self.directory = directory
        self.entries: tuple[Entry, ...] = ()
        self.error: str | None = None
        self.loaded = False
        """True once there was a good state."""
        self._trust_domain = trust_domain
        self._on_change = on_change

    def load(self) -> None:
        """Read all files. A bad one changes nothing but `error`."""
        try:
            entries = read_directory(self.directory, self._trust_domain)
        except ConfigError as error:
            self._refuse(str(error))
        else:
            self._accept(entries)

    async def watch(self) -> None:
        """Read again whenever the files changed, for ever."""
        send, receive = trio.open_memory_channel[bool](1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, self.directory, send)
            while True:
                await _quiet(receive)
                self.load()

    def _refuse(self, error: str) -> None:
        if error != self.error:
            event(log, logging.ERROR, "entries refused, the last good ones stay", error=error)
        self.error = error

    def _accept(self, entries: tuple[Entry, ...]) -> None:
        news = entries != self.entries or not self.loaded
        recovered = self.error is not None
        self.error = None
        self.loaded = True
        if news:
            self.entries = entries
            self._on_change(entries)
        if news or recovered:
            event(log, logging.INFO, "entries loaded", entries=len(entries))


async def _listen(directory: Path, send: trio.MemorySendChannel[bool]) -> None:
    async for change in changes([directory]):
        try:
            send.send_nowait(change.immediate)
        except trio.WouldBlock:
            await send.send(change.immediate)


async def _quiet(receive: trio.MemoryReceiveChannel[bool]) -> None:
    """Return when something changed and nothing more did for a moment; at once after the rename of a symlink."""
    immediate = await receive.receive()
    while not immediate:
        with trio.move_on_after(DEBOUNCE_S) as pause:
            immediate = await receive.receive()
        if pause.cancelled_caught:
            return


def read_directory(directory: Path, trust_domain: str) -> tuple[Entry, ...]:
    """All entries, in the order of the files' names. Raises `ConfigError` that names every bad file."""
    entries: list[Entry] = []
    problems: list[str] = []
    for path in _files(directory):
        try:
            entries += read_file(path, trust_domain)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("; ".join(problems))
    check_unique(entries)
    return tuple(entries)


def read_file(path: Path, trust_domain: str) -> tuple[Entry, ...]:
    """The entries of one file. Raises `ConfigError` with file and line."""
    try:
        with path.open("rb") as file:
            raw = file.read(CONFIG_FILE_BYTES_MAX + 1)
        text = raw.decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is no UTF-8 text (byte {error.start})") from error
    if len(raw) > CONFIG_FILE_BYTES_MAX:
        raise ConfigError(f"{path}: is larger than {CONFIG_FILE_BYTES_MAX} bytes")
    data, lines = _yaml(path, text)
    return parse_entries(data, trust_domain=trust_domain, file=str(path), lines=lines)


def _files(directory: Path) -> list[Path]:
    try:
        found = [path for path in directory.iterdir() if path.suffix in SUFFIXES and not path.name.startswith(".")]
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be read: {error.strerror or error}") from error
    return sorted(found)


def _yaml(path: Path, text: str) -> tuple[Any, list[int]]:
    """The data, and the line of each entry."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        data = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(f"{where}: {error.problem or 'is no YAML'}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{path}: is no YAML: {re.sub(r'[^ -~]+', ' ', str(error))[:200]}") from error
    return data, _lines(node)


def _lines(node: yaml.Node | None) -> list[int]:
    if isinstance(node, yaml.MappingNode) and len(node.value) == 1:
        node = node.value[0][1]
    return [item.start_mark.line + 1 for item in node.value] if isinstance(node, yaml.SequenceNode) else []


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key that stands twice is an error, not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 (PyYAML's signature)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                problem = f"the key {key.value!a} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)
