"""What is wrong with the operator's files, and exactly where. Values are never quoted: one may be a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from xds.errors import ConfigError

PROBLEMS_SHOWN_MAX: Final = 20
"""A file that is wrong all over needs no longer list; the rest is counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, or worth a warning. Lines and columns begin at 1; 0 means unknown."""

    file: str
    message: str
    line: int = 0
    column: int = 0
    resource: str = ""
    """`Cluster "web"`, where a resource is concerned."""
    field: str = ""

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)])
        subject = ": ".join(part for part in (self.resource, self.field) if part)
        return f"{place}: {subject}: {self.message}" if subject else f"{place}: {self.message}"


class FileError(ConfigError):
    """A resource file cannot be used. The attributes are those of its first problem; the text shows every one."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(shown(problems))
        self.problems = tuple(problems)
        first = self.problems[0]
        self.file = first.file
        self.line = first.line
        self.column = first.column
        self.resource = first.resource
        self.field = first.field

    @classmethod
    def of(cls, file: str, message: str, line: int = 0, column: int = 0) -> FileError:
        """An error with a single problem that concerns the file and no resource."""
        return cls([Problem(file, message, line, column)])


def shown(problems: Sequence[Problem]) -> str:
    """One line for each problem, as many as are useful."""
    lines = [str(problem) for problem in problems[:PROBLEMS_SHOWN_MAX]]
    if len(problems) > PROBLEMS_SHOWN_MAX:
        lines.append(f"… and {len(problems) - PROBLEMS_SHOWN_MAX} more")
    return "\n".join(lines)
