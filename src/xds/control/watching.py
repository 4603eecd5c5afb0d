"""The edge's watch as something that is closed for certain when it is left."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import cast

from xds.edge.watch import Change

Watch = Callable[[Sequence[Path]], AsyncIterator[Change]]
"""Tells of changes below these paths; of a first one as soon as none can be missed any more."""


def closing(changes: AsyncIterator[Change]) -> aclosing[AsyncGenerator[Change, None]]:
    """A watch is an async generator, and holds a file descriptor of the kernel's."""
    return aclosing(cast("AsyncGenerator[Change, None]", changes))
