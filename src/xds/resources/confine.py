"""What the process that runs people's Python does to itself first, so that a slip or a stolen file reaches less.

It may read the file's directory and this Python installation; it may write nothing, gain no rights, signal, trace and
call (over Unix sockets, which admit by uid) nobody outside, and use no more than so much memory and time. What a kernel
lacks is left out.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

MEMORY_BYTES_MAX: Final = 2 * 1024**3
"""Of address space: ten times what envoy-data-plane and 10,000 resources take."""

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_PR_SET_NO_NEW_PRIVS: Final = 38

_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
"""Landlock's numbers, the same on every architecture that Python runs on."""
_VERSION: Final = 1
_PATH_BENEATH: Final = 1

_EXECUTE: Final = 1 << 0
_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_RIGHTS: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Everything that can be done to files, by the version of Landlock that first knew of all of it."""
_SCOPES_SINCE: Final = 6
_SCOPE_SIGNAL: Final = 1 << 1

_SYSTEM: Final = (
    *("/usr", "/lib", "/lib32", "/lib64", "/bin", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload", "/etc/localtime"),
    *("/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/resolv.conf", "/etc/services", "/etc/gai.conf"),
    *("/etc/ssl/certs", "/etc/pki/ca-trust/extracted"),
)
"""Programs, libraries, and what is public of how names are looked up and servers are trusted."""
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


_PR_SET_SECCOMP: Final = 22
_SECCOMP_FILTER: Final = 2
_SECCOMP_ALLOW: Final = 0x7FFF0000
_SECCOMP_ERRNO: Final = 0x00050000
_LOAD: Final = 0x20
_IF_EQUAL: Final = 0x15
_IF_NOT_LESS: Final = 0x35
_RETURN: Final = 0x06
_AF_UNIX: Final = 1
_IO_URING_SETUP: Final = 425
_MACHINES: Final = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
"""Of each: what the kernel calls it, and its number of socket()."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("value", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filters", ctypes.POINTER(_Filter)))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("directory", ctypes.c_int32))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _libc().prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def limit(cpu_s: int, parent: int) -> None:
    """Bound what this process can use, and end it with its parent."""
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before it could be asked to take us along
        os._exit(1)
    _bound(resource.RLIMIT_CORE, 0, 0)
    _bound(resource.RLIMIT_FSIZE, 0, 0)
    _bound(resource.RLIMIT_AS, MEMORY_BYTES_MAX, MEMORY_BYTES_MAX)
    _bound(resource.RLIMIT_CPU, cpu_s, cpu_s + 1)  # at the first a signal with a name, at the second SIGKILL


def _bound(kind: int, soft: int, hard: int) -> None:
    _, now = resource.getrlimit(kind)
    if now != resource.RLIM_INFINITY:
        soft, hard = min(soft, now), min(hard, now)
    resource.setrlimit(kind, (soft, hard))


def confine(own: Sequence[Path]) -> bool:
    """From here on: read these directories, Python, the system's libraries. False if the kernel has no Landlock."""
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _refuse_unix_sockets(libc)
    version = libc.syscall(_CREATE_RULESET, None, 0, _VERSION)
    if version < 1:
        return False
    rights = _RIGHTS[max(known for known in _RIGHTS if known <= version)]
    rules = _Ruleset(rights, 0, _SCOPE_SIGNAL if version >= _SCOPES_SINCE else 0)
    ruleset = libc.syscall(_CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    if ruleset < 0:
        return False
    for path in (*map(str, own), *_imported(own)):
        _allow(libc, ruleset, path, _READ_FILE | _READ_DIR)
    for path in (*_SYSTEM, *_python()):
        _allow(libc, ruleset, path, _READ_FILE | _READ_DIR | _EXECUTE)
    for path in _DEVICES:
        _allow(libc, ruleset, path, _READ_FILE | _WRITE_FILE)
    confined: bool = libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return confined


def _imported(own: Sequence[Path]) -> Iterator[str]:
    """Where modules are found, but for what has the resources below it: the keys may well be there too."""
    for entry in filter(None, sys.path):
        found = Path(entry).resolve()
        if not any(found in directory.parents for directory in own):
            yield entry


def _python() -> Iterator[str]:
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        yield from (f"{prefix}/{part}" for part in ("bin", "lib", "lib64", "share"))


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no leave
        return
    if not stat.S_ISDIR(os.fstat(beneath).st_mode):
        rights &= ~_READ_DIR
    rule = _Beneath(rights, beneath)
    libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    os.close(beneath)


def _refuse_unix_sockets(libc: ctypes.CDLL) -> None:
    """The admin sockets and the signer's take our uid for us; Landlock does not keep anybody from them."""
    if sys.maxsize < 1 << 32 or (machine := _MACHINES.get(os.uname().machine)) is None:
        return
    architecture, socket_call = machine
    rules = (
        (_LOAD, 0, 0, 4),  # the architecture
        (_IF_EQUAL, 0, 7, architecture),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_IF_NOT_LESS, 5, 0, 1 << 30),  # another table of numbers, of 32 bits
        (_IF_EQUAL, 4, 0, _IO_URING_SETUP),  # it makes sockets too
        (_IF_EQUAL, 0, 2, socket_call),
        (_LOAD, 0, 0, 16),  # its first argument
        (_IF_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _SECCOMP_ALLOW),
        (_RETURN, 0, 0, _SECCOMP_ERRNO | errno.EACCES),
    )
    filters = (_Filter * len(rules))(*(_Filter(*rule) for rule in rules))
    libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(_Program(len(rules), filters)), 0, 0)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
