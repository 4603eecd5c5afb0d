"""Tells the parent that this process serves: one JSON line on a descriptor that it gave us."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """Where the process can be reached; None: not asked for."""

    listen: str | None = None
    plaintext: str | None = None
    http: str | None = None
    admin: str | None = None


def ready_line(bound: Bound, pid: int) -> bytes:
    """What the parent reads."""
    return (
        json.dumps(
            {
                "ready": True,
                "listen": bound.listen,
                "plaintext": bound.plaintext,
                "http": bound.http,
                "admin": bound.admin,
                "pid": pid,
            }
        ).encode()
        + b"\n"
    )


def announce(descriptor: int, line: bytes) -> None:
    """Write the line and close. A parent that is gone does not matter."""
    try:
        os.write(descriptor, line)
    except BrokenPipeError:
        pass
    finally:
        os.close(descriptor)
