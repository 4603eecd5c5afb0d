"""Validity gates: a fast wrong answer is `failed`, not fast."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

CLIENT_SHARE_MAX = 0.8
"""A load generator busier than that may be what was measured."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition that a run must meet for its figures to count."""

    run: str
    name: str
    passed: bool
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        """For the result file."""
        return {"run": self.run, "name": self.name, "passed": self.passed, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the synthetic fleet saw in one run: the facts that the gates judge."""

    nodes: int
    nodes_at_final: int
    rejections: int
    streams_ended: int
    wrong_states: int
    states_checked: int
    client_share: float
    faults: tuple[str, ...] = ()


def judge(run: str, seen: Outcome) -> tuple[Gate, ...]:
    """All gates of a run with synthetic streams."""
    first = seen.faults[0] if seen.faults else ""
    return (
        Gate(
            run,
            "every node at the final version",
            seen.nodes_at_final == seen.nodes,
            f"{seen.nodes_at_final} of {seen.nodes}",
        ),
        Gate(run, "no rejection", seen.rejections == 0, f"{seen.rejections} {first}".strip()),
        Gate(run, "no stream ended", seen.streams_ended == 0, f"{seen.streams_ended} {first}".strip()),
        Gate(
            run,
            "bytes of the sampled nodes are those published",
            seen.states_checked > 0 and seen.wrong_states == 0,
            f"{seen.wrong_states} wrong of {seen.states_checked} checked",
        ),
        Gate(
            run,
            "the load generator was not the limit",
            seen.client_share < CLIENT_SHARE_MAX,
            f"{seen.client_share:.0%} of its core while a change spread (limit {CLIENT_SHARE_MAX:.0%})",
        ),
    )


def failed(gates: Iterable[Gate]) -> list[Gate]:
    """Those that did not pass."""
    return [gate for gate in gates if not gate.passed]
