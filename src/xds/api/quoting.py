"""Names and texts of other people in our sentences: cut, escaped, and withheld if they may be a key.

A mistake puts a key anywhere, also where a name is expected, and an error is read, logged and forwarded by many.
"""

from __future__ import annotations

import itertools
import re
from typing import Final

from xds.names import shown

NAME_CHARS_MAX: Final = 64
TYPE_CHARS_MAX: Final = 128
"""The longest name of a type of Envoy's API has 103 characters, and cut it tells nothing."""
SENTENCE_CHARS_MAX: Final = 200
"""Of the text of an exception, and of what a program printed last."""

WITHHELD: Final = "(withheld: it may be a key)"

_MARKS: Final = re.compile(r"---- ?(?:begin|end) |private key(?: block)? ?--|putty-user-key-file|age-secret-key-1")
"""Heads and feet of PEM, OpenSSH, PGP, PuTTY and age keys, in lower case."""
_RUN_CHARS: Final = 40
_RUNS: Final = re.compile(r"[A-Za-z0-9+/]{40,}")
_URL_RUNS: Final = re.compile(r"[A-Za-z0-9_-]{40,}")
_PAIRS: Final = re.compile(r"(?:[0-9A-Fa-f]{2}[: ]){15}|(?:\\x[0-9A-Fa-f]{2}.{0,4}){8}")
"""Bytes as OpenSSL and Python print them."""
_NO_TYPE: Final = re.compile(r"[^A-Za-z0-9_./]")
_KINDS: Final = (str.isdigit, str.islower, str.isupper)


def revealing(text: str) -> bool:
    """Whether this may be a key: it has the head of one, or a long run of characters as in base64 or hexadecimal."""
    return (
        _MARKS.search(text.lower()) is not None
        or _PAIRS.search(text) is not None
        or any(_changing(run) for run in _RUNS.findall(text))
        or any(_changing(run) and all(any(map(kind, run)) for kind in _KINDS) for run in _URL_RUNS.findall(text))
    )


def quoted(text: str, chars_max: int = NAME_CHARS_MAX) -> str:
    """The text in quotes, escaped and cut."""
    return WITHHELD if revealing(text) else shown(text, chars_max)


def quoted_type(name: str) -> str:
    """The name of a type, or its URL, as far as it is one: a value may have slid in behind it."""
    if revealing(name):
        return WITHHELD
    plain = _NO_TYPE.split(name, 1)[0]
    return shown(plain if plain == name else plain + "…", TYPE_CHARS_MAX)


def sentence(text: str) -> str:
    """The text as a line of a message."""
    if revealing(text):
        return WITHHELD
    line = " ".join(text.split())
    cut = line if len(line) <= SENTENCE_CHARS_MAX else line[:SENTENCE_CHARS_MAX] + "…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def _changing(run: str) -> bool:
    """Whether somewhere digits, small and capital letters change as by chance, at every second character.

    In words they do not. From a capital to a small letter is how words begin, so that is not counted.
    """
    kinds = [0 if char.isdigit() else 1 if char.islower() else 2 for char in run if char.isalnum()]
    changes = [before != after and (before, after) != (2, 1) for before, after in itertools.pairwise(kinds)]
    starts = range(max(1, len(changes) - _RUN_CHARS + 1))
    return any(5 * sum(changes[start : start + _RUN_CHARS]) >= min(len(changes), _RUN_CHARS) for start in starts)
