"""What can be wrong with a message, with the path of the field that it concerns; never with a value."""

from __future__ import annotations

from xds.api.paths import Path, path_steps, steps_text
from xds.errors import ConfigError


class FieldFault(ConfigError):  # noqa: N818 - names say what is wrong, not that something is
    """A message may not be used because of one field of it."""

    def __init__(self, path: Path, reason: str) -> None:
        self.steps = path_steps(path)
        self.path = steps_text(self.steps)
        self.reason = reason
        super().__init__(f"{self.path}: {reason}" if path else reason)


class SensitiveField(FieldFault):
    """A secret stands where only the name of a secret may stand. The value is in no attribute of this error."""


class UnknownContent(FieldFault):
    """The message holds something that we cannot read, so nobody can say whether it may be published."""
