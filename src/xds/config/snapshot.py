"""A state of all files, immutable and checked when it is made: what no node could use is never published.

A snapshot is made from the one before and the files that changed, at the cost of the change and of what refers to it;
it shares everything else (`persistent`). What one group of nodes really gets, `problems` checks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from xds.config.consistency import Overlaps, broken, clashes, concerned
from xds.config.files import ParsedFile
from xds.config.index import Edits, Index, Key, Place, moved, resources_of
from xds.config.persistent import PersistentMap
from xds.config.problems import Problem, shown
from xds.config.scope import NodeFacts, ScopeKey
from xds.engine.record import Record
from xds.errors import ConfigError

_ITSELF: Final[Key] = ("", "")
"""Where the doubts about a file stand that concern no other: parsing found them."""

Doubts = PersistentMap[Place, tuple[Problem, ...]]


class InconsistentSnapshot(ConfigError):  # noqa: N818 - says what is wrong, not that something is
    """The files are each fine, and do not fit together. `problems` holds every reason."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(shown(self.problems))


class Snapshot:
    """All files at one time."""

    __slots__ = ("doubts", "index", "resources")

    def __init__(self, index: Index, doubts: Doubts, resources: int) -> None:
        """Use `build` or `next`, which check."""
        self.index = index
        self.doubts = doubts
        self.resources = resources
        """How many there are."""

    @classmethod
    def build(cls, files: Iterable[ParsedFile]) -> Snapshot:
        """Check the files together. Raises `InconsistentSnapshot`."""
        return cls(Index(), PersistentMap(), 0).next(files)

    def next(self, changed: Iterable[ParsedFile], removed: Iterable[str] = ()) -> Snapshot:
        """The state with these files instead of those of their paths, and without the removed paths.

        Raises `InconsistentSnapshot`; this snapshot is valid for ever, whatever becomes of the next, and is the next if
        nothing differs.
        """
        known = self.index.files
        come = {**dict.fromkeys(removed), **{file.path: file for file in changed}}
        edits = {path: (known.get(path), new) for path, new in come.items() if known.get(path) is not new}
        if not edits:
            return self
        index = self.index.edited(edits)
        errors, doubts = _checked(index, edits)
        if errors:
            raise InconsistentSnapshot(sorted(errors, key=_order))
        grown = sum(len(resources_of(new)) - len(resources_of(old)) for old, new in edits.values())
        return Snapshot(index, self.doubts.updated(doubts), self.resources + grown)

    @property
    def files(self) -> Mapping[str, ParsedFile]:
        """By path, in no order."""
        return self.index.files

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Everything that is doubtful and can be published."""
        return tuple(sorted((problem for found in self.doubts.values() for problem in found), key=_order))

    def warnings_since(self, old: Snapshot | None) -> tuple[Problem, ...]:
        """The warnings that an earlier state did not have. Costs what differs."""
        before: Doubts = PersistentMap() if old is None else old.doubts
        differing = self.doubts.changed_since(before).values()
        return tuple(
            sorted(
                (problem for was, now in differing for problem in now or () if problem not in (was or ())), key=_order
            )
        )

    def changes_since(self, old: Snapshot | None) -> Edits:
        """The files that differ, in the order of their paths. Costs what differs."""
        before: PersistentMap[str, ParsedFile] = PersistentMap() if old is None else old.index.files
        return dict(sorted(self.index.files.changed_since(before).items()))

    def scopes(self, facts: NodeFacts, among: Iterable[str] | None = None) -> ScopeKey:
        """Which files with selectors (of these paths only, if given) this node gets; an equal key, equal resources."""
        scoped = self.index.scoped
        if not scoped:
            return ()
        values = facts.values()
        found = (scoped[path] for path in (scoped if among is None else among) if path in scoped)
        return tuple(
            sorted(file.path for file in found if any(selector.matches_values(values) for selector in file.selectors))
        )

    def records_for(self, key: ScopeKey) -> Mapping[Key, Record]:
        """Everything that nodes of this scope get."""
        found: dict[Key, Record] = {}
        for file in self._files_of(key):
            found.update(file.records)
        return found

    def problems(self, key: ScopeKey) -> tuple[Problem, ...]:
        """References that break for the nodes of one scope, though other nodes have what they name."""
        index, paths = self.index, frozenset(key)

        def here(path: str) -> bool:
            return path in paths or path not in index.scoped

        elsewhere = {item.key for path, file in index.scoped.items() if path not in paths for item in file.resources}
        missing = {target for target in elsewhere if not any(map(here, index.holders[target]))}
        places = {place for target in missing for place in index.referring(target) if here(place[0])}
        found: list[Problem] = []
        for path, name in places:
            told = self.doubts.get((path, name), ())
            lost = broken(index.holders[name][path], lambda target: target not in missing)
            found += [problem for problem, _ in lost if problem not in told]
        return tuple(sorted(found, key=_order))

    def _files_of(self, key: ScopeKey) -> Iterator[ParsedFile]:
        paths = frozenset(key)
        for path, file in sorted(self.index.files.items()):
            if not file.selectors or path in paths:
                yield file


def _checked(index: Index, edits: Edits) -> tuple[list[Problem], dict[Place, tuple[Problem, ...] | None]]:
    """What forbids these edits, and what becomes of the doubts about the resources that they concern."""
    overlaps = Overlaps()
    names_moved = moved(edits)
    errors = list(clashes(index, names_moved, overlaps))
    doubts: dict[Place, tuple[Problem, ...] | None] = {}
    for path, (old, new) in edits.items():
        doubts.update(((path, resource.key), None) for resource in resources_of(old))
        doubts[path, _ITSELF] = (new.warnings if new is not None else ()) or None
    for place, resource in dict(concerned(index, edits, names_moved)).items():
        file = index.files[place[0]]

        def resolves(target: Key, file: ParsedFile = file) -> bool:
            return any(overlaps(file, holder) for holder in index.holding(target))

        found = list(broken(resource, resolves))
        errors += [problem for problem, fatal in found if fatal]
        doubts[place] = tuple(problem for problem, fatal in found if not fatal) or None
    return errors, doubts


def _order(problem: Problem) -> tuple[str, int, str]:
    return problem.file, problem.line, problem.resource
