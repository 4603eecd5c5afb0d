"""Whether files fit together, decided from the index for what an edit concerns.

Two resources of one type and name clash only if one node can get both files, and a reference is broken only if no file
that a node of the referring file can get resolves it. Both are decided from the selectors alone, so that zones, say,
may each define a cluster that a route for every node names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from xds import names
from xds.api.tables import Kind
from xds.config.files import ParsedFile
from xds.config.index import Edits, Index, Key, Place, resources_of
from xds.config.problems import Problem
from xds.config.resource import Resource, title
from xds.config.scope import overlap

_WHY: Final = {
    names.ENDPOINT: "its endpoints would come from here, and {what} is in no file: the cluster would never have any",
    names.ROUTE: "its routes would come from here, and {what} is in no file: the listener would never open",
}


class Overlaps:
    """Whether one node can get two files; remembered, because thousands of references ask about the same few pairs."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """For as long as the files live: they are told apart by identity."""
        self._known: dict[tuple[int, int], bool] = {}

    def __call__(self, one: ParsedFile, other: ParsedFile) -> bool:
        """Symmetric."""
        if one is other or not one.selectors or not other.selectors:
            return True
        pair = id(one), id(other)
        found = self._known.get(pair)
        if found is None:
            found = self._known[pair] = overlap(one.selectors, other.selectors)
        return found


def clashes(index: Index, moved: Mapping[Key, set[str]], overlaps: Overlaps) -> Iterator[Problem]:
    """Names that one node could get twice since they moved in these files; files that did not move agreed before."""
    for key, paths in moved.items():
        holders = index.holders.get(key)
        if holders is None or len(holders) < 2:  # noqa: PLR2004 (it takes two)
            continue
        earlier: list[str] = []
        for path in sorted(holders):
            rivals = earlier if path in paths else (other for other in earlier if other in paths)
            rival = next((other for other in rivals if overlaps(index.files[path], index.files[other])), None)
            earlier.append(path)
            if rival is not None:
                resource = holders[path]
                message = f"is defined at {holders[rival].place} as well, and one node can get both"
                yield Problem(resource.file, message, resource.line, 0, resource.title)


def concerned(index: Index, edits: Edits, moved: Mapping[Key, set[str]]) -> Iterator[tuple[Place, Resource]]:
    """Every resource that an edit may have broken or mended: what was edited, and what names something that moved."""
    for path, (_, new) in edits.items():
        for resource in resources_of(new):
            yield (path, resource.key), resource
    for target in moved:
        for path, key in index.referring(target):
            if path not in edits:
                yield (path, key), index.holders[key][path]


def broken(resource: Resource, resolves: Callable[[Key], bool]) -> Iterator[tuple[Problem, bool]]:
    """References of a resource that nothing resolves, and whether each forbids publishing."""
    for child in resource.record.children:
        if not resolves(child):
            message = _WHY[child[0]].format(what=title(*child))
            yield Problem(resource.file, message, resource.line, 0, resource.title), True
    for reference in resource.references:
        if not resolves((names.CLUSTER, reference.cluster)):
            message = f"names {title(names.CLUSTER, reference.cluster)}, which is in no file for these nodes"
            problem = Problem(resource.file, message, resource.line, 0, resource.title, reference.field)
            yield problem, reference.kind is Kind.TRAFFIC
