"""File descriptors: a process that serves takes as many as it is allowed to."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

FREE: Final = 256
"""Not for gRPC's connections: files, HTTP, the signer, and what is being opened."""


def raise_limit() -> int:
    """Raise the soft limit to the hard one, and return it.

    The usual soft limit is 1,024, for the sake of programs that call `select`; a few idle connections would use it up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # what is forbidden here stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft


def for_connections() -> int:
    """As many connections as a listener may have, so that the rest of the process finds descriptors whatever comes."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft // 2, soft - FREE)
