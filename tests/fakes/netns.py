"""`python netns.py COMMAND…`: run a command in a network of its own with only a loopback, where every port is free.

Only root may make one; for others the command runs in the machine's own network.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1


def own_network() -> bool:
    return os.geteuid() == 0 and ctypes.CDLL(None).unshare(CLONE_NEWNET) == 0


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))


if __name__ == "__main__":
    if own_network():
        loopback_up()
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 (that is what it is for)
