"""`python unprivileged.py COMMAND…`: run a command with no capability at all, so that root is a user like any other.

Whether the kernel protects a process from its own user can be seen only where neither has capabilities.
"""

import ctypes
import os
import subprocess
import sys
from contextlib import suppress

UNPRIVILEGED = (sys.executable, "-S", __file__)
"""To be put before a command."""
PR_SET_SECUREBITS = 28
SECBIT_NOROOT = 1
CAPABILITY_VERSION_3 = 0x20080522
REFUSED = 13
READ = f"import sys\ntry: open(sys.argv[1], 'rb').read()\nexcept PermissionError: sys.exit({REFUSED})"

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def drop_capabilities():
    with suppress(PermissionError):  # whoever may not do this is not root, and gets none by exec
        checked(libc.prctl(PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    checked(libc.capset(header, (ctypes.c_uint32 * 6)()))


def may_read(path) -> bool:
    """Whether another process of the same user may read this."""
    done = subprocess.run([*UNPRIVILEGED, sys.executable, "-S", "-c", READ, str(path)], timeout=20, check=False)
    assert done.returncode in {0, REFUSED}
    return done.returncode == 0


if __name__ == "__main__":
    drop_capabilities()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 (that is what it is for)
