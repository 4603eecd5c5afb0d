"""How many streams one identity may have at once, so that one node cannot take what all need. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from xds.edge.identity import Peer
from xds.errors import Fault, PeerError
from xds.names import SpiffeId, shown


class Quota:
    """Counts streams from their very begin, before their first request."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[SpiffeId] = Counter()

    @contextmanager
    def place(self, peer: Peer) -> Iterator[None]:
        """One stream's. Raises `PeerError` if there is none left. Without identity (loopback) nobody is counted."""
        who = peer.spiffe_id
        if who is None:
            yield
            return
        if self._taken[who] >= self._most:
            raise PeerError(Fault.EXHAUSTED, f"{shown(str(who))} has {self._most} streams open already, and no more")
        self._taken[who] += 1
        try:
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
