"""From a file's content to what `config` makes of it, or to everything that is wrong with it. Pure."""

from __future__ import annotations

from xds.config.files import parse_file
from xds.config.problems import Problem
from xds.config.python_files import decode
from xds.control.contents import Outcome
from xds.control.reading import text_of
from xds.control.scan import is_python
from xds.errors import ConfigError


def parse(name: str, content: bytes) -> Outcome:
    """Parse one file: its text, or for Python what the child printed."""
    try:
        return decode(name, content) if is_python(name) else parse_file(name, text_of(content, name))
    except ConfigError as error:
        return problems_of(name, error)


def problems_of(name: str, error: ConfigError) -> tuple[Problem, ...]:
    """What is wrong, one by one where the error tells."""
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    return problems or (Problem(name, str(error)),)
