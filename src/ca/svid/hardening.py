"""What the kernel can do for a process with leaf keys in its memory: no core dump, no debugger, private files."""

from __future__ import annotations

import ctypes
import os
import resource
from typing import Final

_PR_SET_DUMPABLE: Final = 4


def keep_memory_private() -> str:
    """No core files, no tracing by this user's other processes, umask 077. Says what could not be done."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        return f"the kernel refuses PR_SET_DUMPABLE: {os.strerror(ctypes.get_errno())}"
    return ""
