"""Registration entries: which node may have which SVID. Pure: data in, values out; default deny."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ca.errors import ConfigError, RefusedError
from ca.identity.lifetimes import LEAF_MIN_S, read_duration
from ca.identity.spiffe import SpiffeId, check_dns_name, node_id, shown, workload_id

FIELDS: Final = ("node", "spiffe_id", "ttl", "dns_names")
DNS_NAMES_MAX: Final = 64
"""Names in one certificate: with more, the secret leaves its size budget (identity 17)."""


PROBLEMS_SHOWN_MAX: Final = 20
"""Of all that is wrong: a file may hold 50,000 mistakes, and each message is logged and shown as one."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The node of that name may have that SVID."""

    node: str
    spiffe_id: SpiffeId
    ttl_s: int = 0
    """Zero: the authority's default."""
    dns_names: tuple[str, ...] = ()
    where: str = ""
    """File and line, for people."""


def parse_entries(
    data: object, *, trust_domain: str, file: str = "", lines: Sequence[int] = (), ttl_max_s: int | None = None
) -> tuple[Entry, ...]:
    """Entries of one file: `data` is what the YAML says, `lines` the line of each entry. Raises `ConfigError`."""
    if isinstance(data, Mapping) and set(data) == {"entries"}:
        data = data["entries"]
    if data is None:
        return ()
    if not isinstance(data, list):
        raise ConfigError(f"{file or 'entries'}: expected a list of entries ('- node: …'), found {_kind(data)}")
    entries: list[Entry] = []
    problems: list[str] = []
    for index, item in enumerate(data):
        where = f"{file}:{lines[index]}" if index < len(lines) else f"{file or 'entries'}: entry {index + 1}"
        try:
            entries.append(_entry(item, trust_domain, where, ttl_max_s))
        except ConfigError as error:
            problems.append(f"{where}: {error}")
    if problems:
        raise ConfigError(summary(problems))
    check_unique(entries)
    return tuple(entries)


def summary(problems: Sequence[str]) -> str:
    """What is wrong, as one message."""
    more = len(problems) - PROBLEMS_SHOWN_MAX
    return "; ".join(problems[:PROBLEMS_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")


def check_unique(entries: Iterable[Entry]) -> None:
    """Refuse the same SVID twice for one node, also across files. Raises `ConfigError`."""
    seen: dict[tuple[str, SpiffeId], Entry] = {}
    for entry in entries:
        first = seen.setdefault((entry.node, entry.spiffe_id), entry)
        if first is not entry:
            raise ConfigError(f"{entry.where}: node {entry.node} has {entry.spiffe_id} already from {first.where}")


def entries_of(entries: Iterable[Entry], node: str) -> tuple[Entry, ...]:
    """What that node may have, in the order of the files; nothing unless an entry says so."""
    return tuple(entry for entry in entries if entry.node == node)


def _entry(item: object, trust_domain: str, where: str, ttl_max_s: int | None) -> Entry:
    if not isinstance(item, Mapping):
        raise ConfigError(f"expected an entry with the fields {', '.join(FIELDS)}, found {_kind(item)}")
    unknown = [str(field) for field in item if field not in FIELDS]
    if unknown:
        raise ConfigError(f"unknown field {shown(unknown[0])} (known: {', '.join(FIELDS)})")
    node, spiffe_text = _text(item, "node"), _text(item, "spiffe_id")
    try:
        node_id(node, trust_domain)
        spiffe_id = workload_id(spiffe_text, trust_domain)
        dns_names = tuple(check_dns_name(name) for name in _texts(item, "dns_names"))
    except RefusedError as error:
        raise ConfigError(str(error)) from None
    return Entry(node, spiffe_id, _ttl(item, ttl_max_s), dns_names, where)


def _ttl(item: Mapping[object, object], ttl_max_s: int | None) -> int:
    if item.get("ttl") is None:
        return 0
    try:
        ttl_s = read_duration(item["ttl"])
    except ValueError as error:
        raise ConfigError(f"ttl: {error}") from None
    if ttl_s < LEAF_MIN_S:
        raise ConfigError(f"ttl: {ttl_s}s is too short, at least {LEAF_MIN_S}s")
    if ttl_max_s is not None and ttl_s > ttl_max_s:
        raise ConfigError(f"ttl: {ttl_s}s is too long, at most {ttl_max_s}s (a sixth of the intermediate's life)")
    return ttl_s


def _text(item: Mapping[object, object], field: str) -> str:
    value = item.get(field)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{field}: expected text, found {_kind(value)}")
    return value


def _texts(item: Mapping[object, object], field: str) -> list[str]:
    value = item.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ConfigError(f"{field}: expected a list of texts, found {_kind(value)}")
    if len(value) > DNS_NAMES_MAX or len(set(value)) != len(value):
        raise ConfigError(f"{field}: at most {DNS_NAMES_MAX} names, each once")
    return value


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
