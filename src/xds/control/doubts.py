"""What clients rejected on streams that have ended, so that a reconnecting one is not believed where it may be wrong.

After a rejection an Envoy may hold what it refused, and still reports the version before it (facts A2, 20).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

CLIENTS_MAX: Final = 10_000
"""Clients remembered; beyond the largest fleet on one server, the longest remembered goes first."""


class Doubts:
    """(type_url, name) by client. A client with nothing to doubt costs nothing."""

    __slots__ = ("_by_client",)

    def __init__(self) -> None:
        self._by_client: dict[str, Collection[tuple[str, str]]] = {}

    def of(self, client: str) -> Collection[tuple[str, str]]:
        """What to doubt on this client's next stream."""
        return self._by_client.get(client, ())

    def remember(self, client: str, doubts: Collection[tuple[str, str]]) -> None:
        """A stream of this client ends with these."""
        self._by_client.pop(client, None)
        if doubts:
            self._by_client[client] = doubts
            if len(self._by_client) > CLIENTS_MAX:
                del self._by_client[next(iter(self._by_client))]
