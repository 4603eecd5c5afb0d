"""What the operating system can do for a process that holds keys: no core dump, no debugger, no swap, no open files."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_MCL_ONFAULT: Final = 4
_PRIVATE_UMASK: Final = 0o077


def harden(*, lock_memory: bool = True) -> list[str]:
    """Do what can be done; say in sentences what could not."""
    os.umask(_PRIVATE_UMASK)
    libc = ctypes.CDLL(None, use_errno=True)
    warnings = []
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        warnings.append(f"the process stays dumpable ({os.strerror(ctypes.get_errno())})")
    if lock_memory and not _lock_memory(libc):
        warnings.append(
            "memory cannot be locked, so keys may reach the swap: raise LimitMEMLOCK to infinity, or have no swap"
        )
    return warnings


def _lock_memory(libc: ctypes.CDLL) -> bool:
    # With a finite limit a later allocation would fail, which is worse than a page in the swap.
    if os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return False
    return bool(libc.mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT) == 0)
