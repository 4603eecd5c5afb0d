"""What to do with a data directory, decided from what lies there. A new root is made only where there never was one.

A first start prepares the whole store in `keystore.new`, then writes the key-encryption key, then renames the store.
Whatever breaks off before the key is written left nothing behind that anybody trusts, and is begun again; after it, the
rename is all that is missing.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ca.errors import LocalError
from ca.signer.keystore import RECOVERY, STATE

STORE: Final = "keystore"
STAGED: Final = "keystore.new"
KEK: Final = "kek"
MARKER: Final = "initialised"


class Action(enum.Enum):
    """What to do."""

    CREATE = "create"
    FINISH = "finish"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in the data directory."""

    store: bool
    """The key store's directory exists."""
    staged: bool
    """A prepared store is complete (it has its state, which is written last)."""
    own_kek: bool
    """The key-encryption key that a first start makes exists."""
    kek_given: bool
    """The operator names another one."""
    marker: bool
    journal_began: bool


def look(data_dir: Path, *, kek_given: bool, journal_began: bool) -> Found:
    """Look what lies there."""
    return Found(
        store=_exists(data_dir / STORE),
        staged=_exists(data_dir / STAGED / STATE),
        own_kek=_exists(data_dir / KEK),
        kek_given=kek_given,
        marker=_exists(data_dir / MARKER),
        journal_began=journal_began,
    )


def decide(found: Found, data_dir: Path) -> Action:
    """Say what to do. Raises `LocalError` where a store should be and is not."""
    if found.store:
        return Action.OPEN
    evidence = [
        name
        for name, there in (
            (f"the marker {data_dir / MARKER}", found.marker),
            (f"the journal {data_dir / 'journal'}", found.journal_began),
        )
        if there
    ]
    if not evidence and found.staged and found.own_kek and not found.kek_given:
        return Action.FINISH
    if found.own_kek and not found.kek_given:
        evidence.append(f"the key-encryption key {data_dir / KEK}")
    if evidence:
        raise LocalError(
            f"the key store {data_dir / STORE} is missing, but there was one, as {' and '.join(evidence)} shows. "
            f"{RECOVERY}"
        )
    return Action.CREATE


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()
