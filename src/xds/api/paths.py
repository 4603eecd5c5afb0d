"""Where in a message, or in a document, something stands."""

from __future__ import annotations

from typing import Any, Final

from xds.names import shown

Step = str | int
"""A field, a key of a map, or an index of a list."""

Path = tuple[Any, Step] | None
"""Linked from the inside out, (the path so far, the last step), because nearly no path is ever shown."""

STEP_CHARS_MAX: Final = 256


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
            plain = step.isascii() and step.isprintable() and len(step) <= STEP_CHARS_MAX
            text += "." * bool(text) + (step if plain else shown(step))
    return text


def path_text(path: Path) -> str:
    """`load_assignment.endpoints[0].priority`."""
    return steps_text(path_steps(path))
