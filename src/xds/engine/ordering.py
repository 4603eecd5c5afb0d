"""Make before break, as data (70-75, 89; facts 21).

A client must know a cluster before a route names it, and no route may name a cluster when it goes. So additions
travel down this table and removals up it, each when the client has acknowledged what it waits for, or after a time-out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from xds.names import CLUSTER, ENDPOINT, EXTENSION, LISTENER, ROUTE, RUNTIME, SCOPED_ROUTE, SECRET, VIRTUAL_HOST

NEVER: Final = sys.maxsize
"""Later than every commit."""

ORDER: Final = (CLUSTER, ENDPOINT, SECRET, EXTENSION, RUNTIME, LISTENER, ROUTE, SCOPED_ROUTE, VIRTUAL_HOST)
"""Order on the wire. Secrets, extensions and runtime layers stand before what uses them; other types come last."""

_RANK: Final = {type_url: rank for rank, type_url in enumerate(ORDER)}

_USERS: Final = (LISTENER, ROUTE, SCOPED_ROUTE, VIRTUAL_HOST)

WAITS_FOR: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(dict.fromkeys(_USERS, (CLUSTER, ENDPOINT)))
"""Changes of the key are held until those of the same commit in the value are answered. EDS is no key: Envoy withholds
the CDS acknowledgement while clusters warm, and warming needs EDS (72)."""

REMOVED_AFTER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        CLUSTER: _USERS,
        ENDPOINT: (CLUSTER, *_USERS),
        EXTENSION: (LISTENER, ROUTE),
        ROUTE: (LISTENER, SCOPED_ROUTE),
        VIRTUAL_HOST: (ROUTE, SCOPED_ROUTE),
    }
)
"""Removals of the key are held until changes and removals of the same commit in the value are acknowledged. Listeners
are no key: nothing refers to them, and a listener that takes over the address of a removed one must come with the
removal, in one response."""

FOLLOWED_BY: Final[Mapping[str, str]] = MappingProxyType({CLUSTER: ENDPOINT})
"""A changed resource of the key makes clients wait for its child, which they may not ask for again (82, 83)."""


def rank(type_url: str) -> int:
    """Position of a type in the order."""
    return _RANK.get(type_url, len(ORDER))
