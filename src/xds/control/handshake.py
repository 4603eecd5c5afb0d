"""What the ready line of xds says."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from xds import process


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the process can be reached; None: not asked for."""

    listen: str | None = None
    plaintext: str | None = None
    http: str | None = None
    admin: str | None = None


def ready_line(bound: Bound, pid: int) -> bytes:
    """What the parent reads."""
    return process.ready_line(pid, **asdict(bound))
