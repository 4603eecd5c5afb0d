"""A fleet of synthetic Envoys: one TCP connection and one delta ADS stream each, every response acknowledged at once.

One process, one thread, epoll. It reads of a response only the envelope, and that once per distinct message: servers
that send the same bytes to all cost the generator two system calls and a dictionary look-up per node. A sample of the
nodes keeps digests of all that it holds.

Started as `python -m bench.clients.fleet CONFIG`; prints one JSON object a line, reads commands on standard input, and
ends when that closes.
"""

from __future__ import annotations

import json
import os
import select
import socket
import ssl
import sys
import time
from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from bench.clients import envelope
from bench.clients.http2 import ClientStream, StreamEnded, opening, ready_message
from bench.core import corpus, machine
from bench.core.clock import now_ns
from bench.core.histogram import Latencies

READ_BYTES = 65_536
KNOWN_MAX = 16
"""Distinct messages remembered: one state is usual, a few while changes overlap."""
STDIN = 0
FAULTS_MAX = 5


@dataclass(frozen=True, slots=True)
class Config:
    """What the fleet connects to, and as what."""

    target: str
    nodes: int
    resources: int
    changes: int
    node_bytes: int = corpus.NODE_BYTES
    type_url: str = corpus.CLUSTER
    sample_every: int = 25
    wave: int = 64
    cpu: int | None = None
    tls: dict[str, str] | None = None
    """Files `certificate`, `key`, `ca`; None is plaintext."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is to be known of a message: the same for every node that gets these bytes."""

    mark: int
    count: int
    answer: bytes
    resources: tuple[bytes, ...]


class Node:
    """One synthetic Envoy."""

    __slots__ = ("connected", "held", "index", "mark", "resources", "shaking", "socket", "stream", "writing")

    def __init__(self, index: int, connection: socket.socket, *, sampled: bool) -> None:
        self.index = index
        self.socket = connection
        self.stream = ClientStream()
        self.mark = 0
        self.resources = 0
        self.connected = False
        self.shaking = False
        self.writing = True
        self.held: dict[str, bytes] | None = {} if sampled else None


@dataclass(slots=True)
class Counters:
    """What was sent and what went wrong."""

    messages: int = 0
    bytes_in: int = 0
    acknowledgements: int = 0
    bytes_acknowledged: int = 0
    rejections: int = 0
    ended: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, text: str) -> None:
        """Keep the first few for the report."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(text)


class Arrivals:
    """When each node had each change, and how busy this process was while a change spread."""

    def __init__(self, nodes: int, changes: int) -> None:
        self._at = [array("q", bytes(8 * nodes)) for _ in range(changes + 1)]
        self._missing = [nodes] * (changes + 1)
        self._cpu_first = [0] * (changes + 1)
        self._cpu_used = [0] * (changes + 1)
        self._nodes = nodes

    def note(self, node: Node, mark: int, now: int) -> list[int]:
        """The node now has every change up to `mark`; returns those that the last node got by this."""
        spread = []
        for sequence in range(node.mark + 1, min(mark, len(self._at) - 1) + 1):
            if self._missing[sequence] == self._nodes:
                self._cpu_first[sequence] = time.process_time_ns()
            self._at[sequence][node.index] = now
            self._missing[sequence] -= 1
            if not self._missing[sequence]:
                self._cpu_used[sequence] = time.process_time_ns() - self._cpu_first[sequence]
                spread.append(sequence)
        node.mark = max(node.mark, mark)
        return spread

    def result(self, intended: dict[int, int]) -> dict[str, Any]:
        """Latencies from the intended time of each change, per node and of the last node."""
        per_node, last_node, last_ms = Latencies(), Latencies(), {}
        spread_ns = used_ns = 0
        for sequence, due in intended.items():
            if self._missing[sequence]:
                continue
            for at in self._at[sequence]:
                per_node.record(at - due)
            slowest = max(self._at[sequence]) - due
            last_node.record(slowest)
            last_ms[sequence] = slowest / 1e6
            spread_ns += slowest
            used_ns += self._cpu_used[sequence]
        return {
            "per_node": per_node.encode(),
            "last_node": last_node.encode(),
            "last_node_ms": last_ms,
            "client_share": used_ns / spread_ns if spread_ns else 0.0,
        }


class Fleet:
    """All nodes, and the loop that serves them.

    Commands: `connect` (answered by `complete` when all hold the initial state), `begin` (counters start), `finish`
    with the intended time of each change and the digest of the final state (answered by `result`). Each change that has
    reached the last node is told as `spread`.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.counters = Counters()
        self.arrivals = Arrivals(config.nodes, config.changes)
        host, _, port = config.target.rpartition(":")
        self._address = (host, int(port))
        self._opening = opening(envelope.DELTA_ADS, config.target, tls=config.tls is not None)
        self._tls = _tls_context(config.tls) if config.tls else None
        self._known: dict[bytes, Known] = {}
        self._nodes: dict[int, Node] = {}
        self._all: list[Node] = []
        self._waiting = deque(range(config.nodes))
        self._unready = 0
        self._epoll = select.epoll()
        self._commands = b""
        self._measured_from = (now_ns(), time.process_time_ns())

    def run(self) -> None:
        """Serve until told to finish, or until standard input closes."""
        self._epoll.register(STDIN, select.EPOLLIN)
        _say(event="ready")
        while True:
            for descriptor, events in self._epoll.poll():
                if descriptor == STDIN:
                    if not self._command():
                        return
                elif (node := self._nodes.get(descriptor)) is not None:
                    self._ready(node, events)

    def _connect_more(self) -> None:
        while self._waiting and self._unready < self.config.wave:
            index = self._waiting.popleft()
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect_ex(self._address)
            node = Node(index, connection, sampled=index % self.config.sample_every == 0)
            self._nodes[connection.fileno()] = node
            self._all.append(node)
            self._unready += 1
            self._epoll.register(connection.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _ready(self, node: Node, events: int) -> None:
        try:
            if not node.connected:
                self._connected(node)
            elif node.shaking:
                self._shake(node)
            else:
                if events & ~select.EPOLLOUT:
                    self._read(node)
                if node.stream.out or node.writing:
                    self._write(node)
        except (OSError, StreamEnded, ValueError) as error:
            self._ended(node, f"node {node.index}: {type(error).__name__}: {error}")

    def _connected(self, node: Node) -> None:
        if error := node.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(error, os.strerror(error))
        node.connected = True
        if self._tls is not None:
            descriptor = node.socket.fileno()
            node.socket = self._tls.wrap_socket(node.socket, do_handshake_on_connect=False, suppress_ragged_eofs=True)
            if node.socket.fileno() != descriptor:
                raise OSError("the descriptor changed under TLS")
            node.shaking = True
            self._shake(node)
        else:
            self._open(node)

    def _shake(self, node: Node) -> None:
        if not isinstance(node.socket, ssl.SSLSocket):
            raise TypeError("only a TLS socket shakes hands")
        try:
            node.socket.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(node, writing=False)
            return
        except ssl.SSLWantWriteError:
            self._watch(node, writing=True)
            return
        node.shaking = False
        self._open(node)

    def _open(self, node: Node) -> None:
        node.stream.out += self._opening
        name = f"bench-{node.index:05d}"
        node.stream.send(envelope.subscribe(self.config.type_url, corpus.node(name, self.config.node_bytes)))
        self._write(node)

    def _read(self, node: Node) -> None:
        while True:
            try:
                data = node.socket.recv(READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            now = now_ns()
            if not data:
                raise StreamEnded("connection closed")
            for message in node.stream.feed(data):
                self._message(node, message, now)
            if len(data) < READ_BYTES and self._tls is None:
                return

    def _message(self, node: Node, message: bytes, now: int) -> None:
        known = self._known.get(message) or self._learn(message)
        counters = self.counters
        counters.messages += 1
        counters.bytes_in += len(message)
        counters.acknowledgements += 1
        counters.bytes_acknowledged += len(known.answer)
        node.stream.send_ready(known.answer)
        if node.held is not None:
            node.held.update(map(envelope.named_digest, known.resources))
        if node.resources < self.config.resources:
            self._initial(node, known.count)
        if known.mark > node.mark:
            for sequence in self.arrivals.note(node, known.mark, now):
                _say(event="spread", sequence=sequence)

    def _learn(self, message: bytes) -> Known:
        try:
            seen = envelope.parse(message)
            envelope.refuse_unasked(seen, self.config.type_url)
        except ValueError as error:
            self.counters.rejections += 1
            self.counters.fault(f"rejected: {error}")
            return Known(0, 0, ready_message(envelope.reject(self.config.type_url, "", str(error))), ())
        answer = ready_message(envelope.acknowledge(seen.type_url, seen.nonce))
        known = Known(seen.mark, len(seen.resources), answer, seen.resources)
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known[message] = known
        return known

    def _initial(self, node: Node, count: int) -> None:
        node.resources += count
        if node.resources >= self.config.resources:
            self._settled()

    def _settled(self) -> None:
        """One more node holds the initial state, or never will."""
        self._unready -= 1
        self._connect_more()
        if not self._waiting and not self._unready:
            _say(event="complete", nodes=len(self._nodes), faults=self.counters.faults)

    def _write(self, node: Node) -> None:
        out = node.stream.out
        while out:
            try:
                sent = node.socket.send(out)
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._watch(node, writing=True)
                return
            if sent == len(out):
                out.clear()
            else:
                del out[:sent]
        if node.writing:
            self._watch(node, writing=False)

    def _watch(self, node: Node, *, writing: bool) -> None:
        node.writing = writing
        self._epoll.modify(node.socket.fileno(), select.EPOLLIN | (select.EPOLLOUT if writing else 0))

    def _ended(self, node: Node, text: str) -> None:
        self.counters.ended += 1
        self.counters.fault(text)
        descriptor = node.socket.fileno()
        self._epoll.unregister(descriptor)
        del self._nodes[descriptor]
        node.socket.close()
        if node.resources < self.config.resources:
            self._settled()

    def _command(self) -> bool:
        chunk = os.read(STDIN, READ_BYTES)
        self._commands += chunk
        *lines, self._commands = self._commands.split(b"\n")
        for line in lines:
            command = json.loads(line)
            if command["command"] == "connect":
                self._connect_more()
            elif command["command"] == "begin":
                self.counters = Counters(faults=self.counters.faults, ended=self.counters.ended)
                self._measured_from = (now_ns(), time.process_time_ns())
                _say(event="begun")
            elif command["command"] == "finish":
                self._finish(command)
                return False
        return bool(chunk)

    def _finish(self, command: dict[str, Any]) -> None:
        intended = {int(sequence): due for sequence, due in command["intended"].items()}
        final = max(intended, default=0)
        states = [corpus.digest_of(node.held) for node in self._all if node.held is not None]
        wall, used = now_ns() - self._measured_from[0], time.process_time_ns() - self._measured_from[1]
        _say(
            event="result",
            nodes_at_final=sum(node.mark == final for node in self._nodes.values()),
            states_checked=len(states),
            wrong_states=sum(state != command["digest"] for state in states),
            share_of_window=used / wall,
            counters={name: getattr(self.counters, name) for name in Counters.__slots__},
            **self.arrivals.result(intended),
        )


def _tls_context(files: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files["ca"])
    context.check_hostname = False  # the chain is checked; the name of a throw-away server says nothing
    context.load_cert_chain(files["certificate"], files["key"])
    context.set_alpn_protocols(["h2"])
    return context


def _say(**event: object) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Entry of the process."""
    config = Config(**json.loads(sys.argv[1]))
    machine.raise_file_limit()
    machine.pin(config.cpu)
    Fleet(config).run()


if __name__ == "__main__":
    main()
