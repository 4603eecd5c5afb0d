"""Who holds which name and who refers to it, so that a change is checked against what it concerns and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from xds import names
from xds.config.files import ParsedFile
from xds.config.persistent import PersistentMap
from xds.config.resource import Resource

K = TypeVar("K")
V = TypeVar("V")

Key = tuple[str, str]
"""(type URL, name)."""

Place = tuple[str, Key]
"""A resource in a file, by the file's path."""

Edits = Mapping[str, tuple[ParsedFile | None, ParsedFile | None]]
"""Files that changed, by path: what was there, and what is there now."""


@dataclass(frozen=True, slots=True)
class Index:
    """Immutable; the next one shares what did not change."""

    files: PersistentMap[str, ParsedFile] = field(default_factory=PersistentMap)
    scoped: PersistentMap[str, ParsedFile] = field(default_factory=PersistentMap)
    """Those with selectors."""
    holders: PersistentMap[Key, PersistentMap[str, Resource]] = field(default_factory=PersistentMap)
    """The resources of one type and name, by path."""
    referrers: PersistentMap[Key, PersistentMap[Place, bool]] = field(default_factory=PersistentMap)
    """The resources that name another, which may exist or not."""

    def edited(self, edits: Edits) -> Index:
        """The index after these edits."""
        held: defaultdict[Key, dict[str, Resource | None]] = defaultdict(dict)
        named: defaultdict[Key, dict[Place, bool | None]] = defaultdict(dict)
        for path, (old, new) in edits.items():
            for resource in resources_of(old):
                held[resource.key][path] = None
                for target in targets(resource):
                    named[target][path, resource.key] = None
            for resource in resources_of(new):
                held[resource.key][path] = resource
                for target in targets(resource):
                    named[target][path, resource.key] = True
        return Index(
            self.files.updated({path: new for path, (_, new) in edits.items()}),
            self.scoped.updated({path: new if new and new.selectors else None for path, (_, new) in edits.items()}),
            _nested(self.holders, held),
            _nested(self.referrers, named),
        )

    def holding(self, key: Key) -> Iterator[ParsedFile]:
        """The files that hold a resource of this type and name."""
        return (self.files[path] for path in self.holders.get(key, ()))

    def referring(self, key: Key) -> Iterator[Place]:
        """The resources that name this one."""
        return iter(self.referrers.get(key, ()))


def resources_of(file: ParsedFile | None) -> tuple[Resource, ...]:
    """None has no resources."""
    return () if file is None else file.resources


def targets(resource: Resource) -> Iterator[Key]:
    """What a resource names."""
    yield from resource.record.children
    for reference in resource.references:
        yield names.CLUSTER, reference.cluster


def moved(edits: Edits) -> dict[Key, set[str]]:
    """Names that came, went, or are for other nodes now, each with the files in which that happened."""
    found: defaultdict[Key, set[str]] = defaultdict(set)
    for path, (old, new) in edits.items():
        before = {resource.key for resource in resources_of(old)}
        after = {resource.key for resource in resources_of(new)}
        same_nodes = old is not None and new is not None and old.selectors == new.selectors
        for key in before ^ after if same_nodes else before | after:
            found[key].add(path)
    return found


def _nested(
    outer: PersistentMap[Key, PersistentMap[K, V]], edits: Mapping[Key, Mapping[K, V | None]]
) -> PersistentMap[Key, PersistentMap[K, V]]:
    none: PersistentMap[K, V] = PersistentMap()
    return outer.updated({key: outer.get(key, none).updated(inner) or None for key, inner in edits.items()})
