"""Run another program until our standard input closes, or that program ends: `leash.py PROGRAM ARGUMENT…`.

For programs that do not end by themselves when the harness is gone (Envoy). Prints the program's id as an event. Run by
path, in isolated mode; imports nothing of ours. (The kernel's parent-death signal alone would not do: it follows the
thread that started the child, and trio starts children in threads.)
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys

PR_SET_PDEATHSIG = 1
STOP_MS = 5000


def main() -> None:
    """Entry of the process."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # end by the closing of standard input, in order
    pid = os.fork()
    if not pid:
        _become(sys.argv[1:])
    sys.stdout.write(json.dumps({"event": "started", "pid": pid}) + "\n")
    sys.stdout.flush()
    ended = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(0, select.POLLIN)
    stopped = not any(descriptor == ended for descriptor, _ in poll.poll())
    if stopped:
        poll.unregister(0)
        os.kill(pid, signal.SIGTERM)
        if not poll.poll(STOP_MS):
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    sys.exit(0 if stopped else os.waitstatus_to_exitcode(status) or 1)


def _become(program: list[str]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        os.execvp(program[0], program)  # noqa: S606 (that is what a leash is for)
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        os._exit(127)


if __name__ == "__main__":
    main()
