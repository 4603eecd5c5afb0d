"""A file of another user, for tests that any user can run: only root could really give one away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

OTHER = os.geteuid() + 12345


def give_away(monkeypatch: pytest.MonkeyPatch, path: Path) -> int:
    """From now on the system calls say that this file belongs to somebody else; who that is."""
    one = os.lstat(path)

    def telling(real):
        def stat(*arguments, **options):
            found = real(*arguments, **options)
            if (found.st_dev, found.st_ino) != (one.st_dev, one.st_ino):
                return found
            return os.stat_result([*found[:4], OTHER, *found[5:10]])

        return stat

    for name in ("stat", "lstat", "fstat"):
        monkeypatch.setattr(os, name, telling(getattr(os, name)))
    return OTHER
