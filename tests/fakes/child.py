"""A child process that does what its arguments say, for tests of the supervisor.

`--ready-fd N` says that it is ready; `--fail CODE` ends before that; `--ignore-term` does not end on SIGTERM;
`--log FILE` gets a line for each thing that happens. It ends on SIGTERM, or on SIGKILL.
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--ready-fd", type=int)
parser.add_argument("--fail", type=int)
parser.add_argument("--say", default="")
parser.add_argument("--never-ready", action="store_true")
parser.add_argument("--ignore-term", action="store_true")
parser.add_argument("--log", type=Path, required=True)
options = parser.parse_args()


def note(text):
    with options.log.open("a") as log:
        log.write(f"{text}\n")


def on_term(_number, _frame):
    note("term")
    if not options.ignore_term:
        sys.exit(0)


signal.signal(signal.SIGTERM, on_term)
signal.signal(signal.SIGHUP, lambda *_: note("hup"))
note(f"start {os.getpid()}")
if options.fail is not None:
    sys.stderr.write("fake: 127.0.0.1:1 is in use\n")
    sys.exit(options.fail)
if options.ready_fd is not None and not options.never_ready:
    line = options.say or json.dumps({"ready": True, "listen": "127.0.0.1:1", "pid": os.getpid()})
    os.write(options.ready_fd, line.encode() + b"\n")
    os.close(options.ready_fd)
while True:
    signal.pause()
