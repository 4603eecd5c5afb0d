"""Requests to real Envoys: some always, and none may fail; many while a change is awaited, to see when it is live.

One process, one thread, epoll; one kept-alive HTTP/1.1 connection for each target. Started as
`python -m bench.clients.prober CONFIG`; the command `watch` names the group of targets and the change awaited and is
answered by `effect` when each has shown it, `finish` by `result`.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from bench.core import machine
from bench.core.clock import NS, now_ns
from bench.core.corpus import MARK

STDIN = 0
READ_BYTES = 65_536
REQUEST = b"GET / HTTP/1.1\r\nhost: bench\r\n\r\n"
FAULTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Config:
    """Whom to ask, and how often."""

    targets: tuple[tuple[str, str], ...]
    """(group, host:port)."""
    idle_s: float = 0.02
    """Between two requests to a target as long as nothing is awaited."""
    probe_s: float = 0.001
    """The same while a change is awaited: the resolution of what is measured."""
    timeout_s: float = 2.0
    cpu: int | None = None


@dataclass(slots=True)
class Target:
    """One listener of one Envoy."""

    index: int
    group: str
    address: tuple[str, int]
    socket: socket.socket | None = None
    buffer: bytes = b""
    asked_at: int | None = None
    due: int = 0
    """When to look after it next; what the heap says otherwise is out of date."""
    mark: int = 0


@dataclass(slots=True)
class Awaited:
    """A change, and when each target of its group showed it."""

    group: str
    sequence: int
    at: dict[int, int] = field(default_factory=dict)


class Prober:
    """All targets, and the loop that asks them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._epoll = select.epoll()
        self._targets = [Target(i, group, _address(where)) for i, (group, where) in enumerate(config.targets)]
        self._by_descriptor: dict[int, Target] = {}
        self._due: list[tuple[int, int]] = []
        self._awaited: Awaited | None = None
        self._commands = b""
        self._requests = 0
        self._failed = 0
        self._faults: list[str] = []

    def run(self) -> None:
        """Ask until told to finish, or until standard input closes."""
        self._epoll.register(STDIN, select.EPOLLIN)
        for target in self._targets:
            self._later(target, 0)
        _say(event="ready")
        while True:
            for descriptor, _ in self._epoll.poll(self._wait_s()):
                if descriptor == STDIN:
                    if not self._command():
                        return
                elif descriptor in self._by_descriptor:
                    self._answered(self._by_descriptor[descriptor])
            self._ask_due()

    def _wait_s(self) -> float:
        return max(0, self._due[0][0] - now_ns()) / NS if self._due else self._config.timeout_s

    def _ask_due(self) -> None:
        now = now_ns()
        while self._due and self._due[0][0] <= now:
            due, index = heapq.heappop(self._due)
            target = self._targets[index]
            if due != target.due:
                continue
            if target.asked_at is None:
                self._ask(target, now)
            else:
                self._fail(target, "no answer")

    def _ask(self, target: Target, now: int) -> None:
        try:
            if target.socket is None:
                target.socket = socket.create_connection(target.address, timeout=self._config.timeout_s)
                target.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._by_descriptor[target.socket.fileno()] = target
                self._epoll.register(target.socket.fileno(), select.EPOLLIN)
            target.socket.send(REQUEST)
        except OSError as error:
            self._fail(target, str(error))
            return
        target.asked_at = now
        self._later(target, self._config.timeout_s)

    def _answered(self, target: Target) -> None:
        if target.socket is None:
            return
        try:
            data = target.socket.recv(READ_BYTES)
        except OSError as error:
            self._fail(target, str(error))
            return
        if not data:
            self._fail(target, "connection closed")
            return
        target.buffer += data
        head, separator, body = target.buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < _length(head):
            return
        now = now_ns()
        target.buffer, target.asked_at = b"", None
        self._requests += 1
        if not head.startswith(b"HTTP/1.1 200 "):
            self._count(target, head.partition(b"\r\n")[0].decode(errors="replace"))
        elif found := MARK.search(body):
            self._seen(target, int(found[1]), now)
        self._later(target, self._config.probe_s if self._hot(target) else self._config.idle_s)

    def _seen(self, target: Target, mark: int, now: int) -> None:
        target.mark = max(target.mark, mark)
        awaited = self._awaited
        if awaited is None or target.group != awaited.group or mark < awaited.sequence:
            return
        awaited.at.setdefault(target.index, now)
        if len(awaited.at) == sum(other.group == awaited.group for other in self._targets):
            self._awaited = None
            _say(event="effect", group=awaited.group, sequence=awaited.sequence, at=list(awaited.at.values()))

    def _hot(self, target: Target) -> bool:
        awaited = self._awaited
        return awaited is not None and awaited.group == target.group and target.index not in awaited.at

    def _later(self, target: Target, seconds: float) -> None:
        target.due = now_ns() + round(seconds * NS)
        heapq.heappush(self._due, (target.due, target.index))

    def _count(self, target: Target, text: str) -> None:
        self._failed += 1
        if len(self._faults) < FAULTS_MAX:
            self._faults.append(f"{target.group} {target.address[1]}: {text}")

    def _fail(self, target: Target, text: str) -> None:
        self._requests += 1
        self._count(target, text)
        if target.socket is not None:
            self._epoll.unregister(target.socket.fileno())
            del self._by_descriptor[target.socket.fileno()]
            target.socket.close()
        target.socket, target.buffer, target.asked_at = None, b"", None
        self._later(target, self._config.idle_s)

    def _command(self) -> bool:
        chunk = os.read(STDIN, READ_BYTES)
        self._commands += chunk
        *lines, self._commands = self._commands.split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command["command"] == "watch":
                self._awaited = Awaited(command["group"], command["sequence"])
                for target in self._targets:
                    if target.group == command["group"] and target.asked_at is None:
                        self._later(target, 0)
            elif command["command"] == "finish":
                self._finish()
                return False
        return bool(chunk)

    def _finish(self) -> None:
        marks: dict[str, list[int]] = {}
        for target in self._targets:
            marks.setdefault(target.group, []).append(target.mark)
        _say(
            event="result",
            requests=self._requests,
            failed=self._failed,
            faults=self._faults,
            marks=marks,
            cpu_s=time.process_time(),
        )


def _address(where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    return host, int(port)


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def _say(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry of the process."""
    config = Config(**json.loads(sys.argv[1]))
    machine.pin(config.cpu)
    Prober(config).run()


if __name__ == "__main__":
    main()
