"""Where in a message, or in a document, something stands."""

from __future__ import annotations

from typing import Any, Final

from xds.api.quoting import NAME_CHARS_MAX, quoted, revealing

Step = str | int
"""A field, a key of a map, or an index of a list."""

Path = tuple[Any, Step] | None
"""Linked from the inside out, (the path so far, the last step), because nearly no path is ever shown."""

SHORT: Final = 40
"""An identifier shorter than this is taken for the name of a field without a further look."""


def path_steps(path: Path) -> tuple[Step, ...]:
    """The path from the outside in."""
    steps: list[Step] = []
    while path is not None:
        path, step = path
        steps.append(step)
    return tuple(reversed(steps))


def steps_text(steps: tuple[Step, ...]) -> str:
    """`load_assignment.endpoints[0].priority`."""
    text = ""
    for step in steps:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += "." * bool(text) + (step if _plain(step) else quoted(step))
    return text


def _plain(step: str) -> bool:
    if len(step) < SHORT and step.isidentifier():
        return True
    return step.isascii() and step.isprintable() and len(step) <= NAME_CHARS_MAX and not revealing(step)


def path_text(path: Path) -> str:
    """`load_assignment.endpoints[0].priority`."""
    return steps_text(path_steps(path))
