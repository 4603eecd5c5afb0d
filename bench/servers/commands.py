"""How the harness drives a server: settings as JSON on the command line, then one publish a line on standard input."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from bench.core import corpus, machine
from bench.core.clock import now_ns


@dataclass(frozen=True, slots=True)
class Config:
    """What a server of synthetic resources serves."""

    resources: int
    body_bytes: int = corpus.CLUSTER_BYTES
    kind: str = "clusters"
    streams: int = 1000
    """So many are expected: the collector is set for them."""
    cpu: int | None = None
    tuned: bool = True
    tls: dict[str, str] | None = None
    """Files `certificate`, `key`, `ca`; None is plaintext."""

    @classmethod
    def from_arguments(cls) -> Config:
        """Read the command line, and set the process up accordingly."""
        config = cls(**json.loads(sys.argv[1]))
        machine.raise_file_limit()
        machine.pin(config.cpu)
        return config

    def corpus(self) -> corpus.Corpus:
        """What the server serves."""
        return corpus.corpus(self.kind, self.resources, self.body_bytes)

    def pem(self) -> tuple[bytes, bytes, bytes] | None:
        """(certificate, key, roots) where the server speaks TLS."""
        if self.tls is None:
            return None
        certificate, key, roots = (Path(self.tls[name]).read_bytes() for name in ("certificate", "key", "ca"))
        return certificate, key, roots


async def obey(publish: Callable[[int, int], None]) -> None:
    """Call `publish(sequence, resource)` for each line, until standard input closes."""
    partial = b""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as commands:
        async for chunk in commands:
            *lines, partial = (partial + chunk).split(b"\n")
            for line in lines:
                sequence, resource = map(int, line.split())
                publish(sequence, resource)
                say(event="published", sequence=sequence, at=now_ns())


def say(**event: object) -> None:
    """Tell the harness something."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()
