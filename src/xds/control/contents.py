"""What is known of each file of the directory: its stamp, and what came of it when it was read. No awaiting here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from xds.config.files import ParsedFile
from xds.config.problems import Problem
from xds.control.scan import Listing, Plan, Stamp, is_resource_file, plan, refuse_emptied


def digest_of(content: bytes) -> bytes:
    """A short name for a file's content."""
    return hashlib.blake2b(content, digest_size=16).digest()


Outcome = ParsedFile | tuple[Problem, ...]
"""What a file holds, or everything that is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Result:
    digest: bytes
    outcome: Outcome


class Contents:
    """The files as they were read last.

    Content that did not change keeps its `ParsedFile` object: `Snapshot.diff` skips it by identity.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._stamps: dict[str, Stamp] = {}
        self._results: dict[str, _Result] = {}
        self._live: tuple[ParsedFile, ...] | None = None

    def begin(self, listing: Listing, *, everything: bool) -> Plan:
        """Forget what is gone, and say what to read."""
        decided = plan(self._stamps, listing.files, everything=everything)
        for name in decided.gone:
            self._results.pop(name, None)
        self._stamps = dict(listing.files)
        return decided

    def unchanged(self, name: str, digest: bytes) -> bool:
        """Whether this very content was parsed before."""
        result = self._results.get(name)
        return result is not None and result.digest == digest

    def keep(self, name: str, digest: bytes, outcome: Outcome) -> None:
        """Remember what came of a file."""
        self._results[name] = _Result(digest, outcome)

    def read_again(self, name: str) -> None:
        """Read this file with the next change of any file, whether its own stamp is new or not."""
        self._stamps.pop(name, None)

    def problems(self, listing: Listing) -> tuple[Problem, ...]:
        """Everything that keeps this state from being published."""
        found = list(listing.problems)
        for result in self._results.values():
            if isinstance(result.outcome, tuple):
                found += result.outcome
        seen_files = sum(map(is_resource_file, listing.files))
        if not found and (emptied := refuse_emptied(self.live_files, seen_files, self._directory)):
            found.append(emptied)
        return tuple(sorted(found, key=lambda problem: (problem.file, problem.line)))

    def files(self) -> tuple[ParsedFile, ...]:
        """The files that parsed, in the order of their names."""
        good = ((name, result.outcome) for name, result in sorted(self._results.items()))
        return tuple(outcome for _, outcome in good if isinstance(outcome, ParsedFile))

    def is_live(self, files: tuple[ParsedFile, ...]) -> bool:
        """Whether exactly these were published last."""
        if self._live is None or len(self._live) != len(files):
            return False
        return all(one is other for one, other in zip(self._live, files, strict=True))

    def published(self, files: tuple[ParsedFile, ...]) -> None:
        """Note that these are live now."""
        self._live = files

    @property
    def live_files(self) -> int:
        """How many files the last good state has."""
        return len(self._live or ())
