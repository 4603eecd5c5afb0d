"""What is known of each file of the directory: its stamp, and what came of it when it was read. No awaiting here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from xds.config.files import ParsedFile
from xds.config.problems import Problem
from xds.config.snapshot import Snapshot
from xds.control.scan import NEVER, Listing, Plan, Stamp, is_resource_file, plan, refuse_emptied


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
    """The files as they were read last, and the state that was made of them last.

    Content that did not change keeps its `ParsedFile` object: by that the next state knows what it shares. Per change
    only the comparison of stamps looks at every file; it belongs to the listing and is done where that is done.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._stamps: dict[str, Stamp] = {}
        self._results: dict[str, _Result] = {}
        self._bad: dict[str, tuple[Problem, ...]] = {}
        self._pending: set[str] = set()
        """Files of which something new is known since the state that is live."""
        self._live: Snapshot | None = None

    def begin(self, listing: Listing, *, everything: bool) -> Plan:
        """Forget what is gone, and say what to read."""
        decided = plan(self._stamps, listing.files, everything=everything)
        for name in decided.gone:
            self._forget(name)
        self._stamps = dict(listing.files)
        return decided

    def unchanged(self, name: str, digest: bytes) -> bool:
        """Whether this very content was parsed before."""
        result = self._results.get(name)
        return result is not None and result.digest == digest

    def keep(self, name: str, digest: bytes, outcome: Outcome) -> None:
        """Remember what came of a file."""
        self._forget(name)
        self._results[name] = _Result(digest, outcome)
        if isinstance(outcome, tuple):
            self._bad[name] = outcome

    def read_again(self, name: str) -> None:
        """Read this file with the next change of any file, whether its own stamp is new or not."""
        self._stamps[name] = NEVER

    def problems(self, listing: Listing) -> tuple[Problem, ...]:
        """Everything that keeps this state from being published."""
        found = [*listing.problems, *(problem for problems in self._bad.values() for problem in problems)]
        seen = any(map(is_resource_file, listing.files))
        if not found and (emptied := refuse_emptied(self.live_files, seen, self._directory)):
            found.append(emptied)
        return tuple(sorted(found, key=lambda problem: (problem.file, problem.line)))

    def next(self) -> Snapshot | None:
        """The state of all files that parsed; None if it is the one that is live. Raises `InconsistentSnapshot`."""
        base = self._live if self._live is not None else Snapshot.build(())
        results = {name: self._results.get(name) for name in self._pending}
        files = [result.outcome for result in results.values() if result is not None]
        made = base.next(
            [file for file in files if isinstance(file, ParsedFile)],
            [name for name, result in results.items() if result is None],
        )
        return None if made is self._live else made

    def published(self, snapshot: Snapshot) -> None:
        """Note that this is live now."""
        self._live = snapshot
        self._pending.clear()

    @property
    def live_files(self) -> int:
        """How many files the last good state has."""
        return 0 if self._live is None else len(self._live.files)

    @property
    def live_resources(self) -> int:
        """How many resources these hold."""
        return 0 if self._live is None else self._live.resources

    def _forget(self, name: str) -> None:
        self._results.pop(name, None)
        self._bad.pop(name, None)
        self._pending.add(name)
