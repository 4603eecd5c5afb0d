"""A state of all files, immutable and checked when it is built: what no node could use is never published.

Two resources of one type and name clash only if one node can get both files, and a reference is broken only if no file
that a node of the referring file can get resolves it. Both are decided from the selectors alone, so that zones, say,
may each define a cluster that a route for every node names. What one group of nodes really gets, `problems` checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from xds import names
from xds.api.tables import Kind
from xds.config.files import ParsedFile
from xds.config.problems import Problem, shown
from xds.config.resource import Resource, title
from xds.config.scope import NodeFacts, ScopeKey, overlap
from xds.engine.record import Record
from xds.errors import ConfigError

Key = tuple[str, str]
"""(type URL, name)."""

Index = dict[Key, list[tuple[ParsedFile, Resource]]]

_WHY: Final = {
    names.ENDPOINT: "its endpoints would come from here, and {what} is in no file: the cluster would never have any",
    names.ROUTE: "its routes would come from here, and {what} is in no file: the listener would never open",
}


class InconsistentSnapshot(ConfigError):  # noqa: N818 - says what is wrong, not that something is
    """The files are each fine, and do not fit together. `problems` holds every reason."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(shown(self.problems))


class Snapshot:
    """All files at one time."""

    __slots__ = ("_scoped", "_unscoped", "files", "warnings")

    def __init__(self, files: tuple[ParsedFile, ...], warnings: tuple[Problem, ...]) -> None:
        """Use `build`, which checks."""
        self.files: Mapping[str, ParsedFile] = {file.path: file for file in files}
        self.warnings = warnings
        self._scoped = tuple(file for file in files if file.selectors)
        self._unscoped = tuple(file.path for file in files if not file.selectors)

    @classmethod
    def build(cls, files: Iterable[ParsedFile]) -> Snapshot:
        """Check the files together. Raises `InconsistentSnapshot`."""
        ordered = tuple(sorted(files, key=lambda file: file.path))
        index = _index(ordered)
        overlaps = _Overlaps()
        errors = list(_clashes(index, overlaps))
        warnings = [warning for file in ordered for warning in file.warnings]
        for problem, fatal in _broken(ordered, index, overlaps):
            (errors if fatal else warnings).append(problem)
        if errors:
            raise InconsistentSnapshot(sorted(errors, key=lambda problem: (problem.file, problem.line)))
        return cls(ordered, tuple(warnings))

    def scopes(self, facts: NodeFacts) -> ScopeKey:
        """Which of the files with selectors this node gets; nodes with an equal key share everything."""
        if not self._scoped:
            return ()
        values = facts.values()
        return tuple(
            file.path for file in self._scoped if any(selector.matches_values(values) for selector in file.selectors)
        )

    def records_for(self, key: ScopeKey) -> Mapping[Key, Record]:
        """Everything that nodes of this scope get."""
        found: dict[Key, Record] = {}
        for file in self.files_of(key).values():
            found.update(file.records)
        return found

    def problems(self, key: ScopeKey) -> tuple[Problem, ...]:
        """References that break for the nodes of one scope, though other nodes have what they name."""
        files = tuple(self.files_of(key).values())
        return tuple(problem for problem, _ in _broken(files, _index(files), _Overlaps()))

    @staticmethod
    def diff(
        old: Snapshot | None,
        new: Snapshot,
        key_old: ScopeKey,
        key_new: ScopeKey,
    ) -> tuple[list[Record], list[Key]]:
        """What brings a view from one state to the other: upserts and removals. Unchanged files cost nothing."""
        before = old.files_of(key_old) if old is not None else {}
        after = new.files_of(key_new)
        left = [file for path, file in before.items() if after.get(path) is not file]
        come = [file for path, file in after.items() if before.get(path) is not file]
        gone: dict[Key, Record] = {}
        for file in left:
            gone.update(file.records)
        upserts: list[Record] = []
        for file in come:
            for name, record in file.records.items():
                known = gone.pop(name, None)
                if known is None or known.version != record.version:
                    upserts.append(record)
        return upserts, list(gone)

    def files_of(self, key: ScopeKey) -> dict[str, ParsedFile]:
        """The files that nodes of this scope get."""
        paths = sorted({*self._unscoped, *key})
        return {path: self.files[path] for path in paths if path in self.files}


class _Overlaps:
    """Whether one node can get two files; remembered, because thousands of references ask about the same few pairs."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], bool] = {}

    def __call__(self, one: ParsedFile, other: ParsedFile) -> bool:
        if one is other or not one.selectors or not other.selectors:
            return True
        pair = id(one), id(other)
        found = self._known.get(pair)
        if found is None:
            found = self._known[pair] = overlap(one.selectors, other.selectors)
        return found


def _index(files: Iterable[ParsedFile]) -> Index:
    index: Index = {}
    for file in files:
        for resource in file.resources:
            index.setdefault(resource.key, []).append((file, resource))
    return index


def _clashes(index: Index, overlaps: _Overlaps) -> Iterator[Problem]:
    for holders in index.values():
        for at, (file, resource) in enumerate(holders):
            for other_file, other in holders[:at]:
                if overlaps(file, other_file):
                    message = f"is defined at {other.place} as well, and one node can get both"
                    yield Problem(resource.file, message, resource.line, 0, resource.title)
                    break


def _broken(files: Iterable[ParsedFile], index: Index, overlaps: _Overlaps) -> Iterator[tuple[Problem, bool]]:
    """References that nothing resolves, and whether each forbids publishing."""

    def resolves(file: ParsedFile, key: Key) -> bool:
        return any(overlaps(file, holder) for holder, _ in index.get(key, ()))

    for file in files:
        for resource in file.resources:
            for child in resource.record.children:
                if not resolves(file, child):
                    message = _WHY[child[0]].format(what=title(*child))
                    yield Problem(resource.file, message, resource.line, 0, resource.title), True
            for reference in resource.references:
                if not resolves(file, (names.CLUSTER, reference.cluster)):
                    message = f"names {title(names.CLUSTER, reference.cluster)}, which is in no file for these nodes"
                    problem = Problem(resource.file, message, resource.line, 0, resource.title, reference.field)
                    yield problem, reference.kind is Kind.TRAFFIC
