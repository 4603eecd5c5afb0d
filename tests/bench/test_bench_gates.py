"""A wrong answer is `failed`, however fast."""

import dataclasses

import pytest
from rich.console import Console

from bench.core import report
from bench.core.gates import Outcome, failed, judge

GOOD = Outcome(
    nodes=5,
    nodes_at_final=5,
    rejections=0,
    streams_ended=0,
    wrong_states=0,
    states_checked=1,
    client_share=0.3,
)


def test_a_right_run_passes_every_gate():
    assert failed(judge("a run", GOOD)) == []


@pytest.mark.parametrize(
    ("wrong", "gate"),
    [
        ({"nodes_at_final": 4}, "every node at the final version"),
        ({"rejections": 1}, "no rejection"),
        ({"streams_ended": 1}, "no stream ended"),
        ({"wrong_states": 1}, "bytes of the sampled nodes are those published"),
        ({"states_checked": 0}, "bytes of the sampled nodes are those published"),
        ({"client_share": 0.8}, "the load generator was not the limit"),
    ],
)
def test_each_wrong_fact_fails_its_gate(wrong, gate):
    bad = failed(judge("a run", dataclasses.replace(GOOD, **wrong)))
    assert [each.name for each in bad] == [gate]


def test_the_first_fault_is_shown():
    seen = dataclasses.replace(GOOD, streams_ended=1, faults=("node 3: reset",))
    (bad,) = failed(judge("a run", seen))
    assert "node 3: reset" in bad.detail


def test_the_verdict_of_a_wrong_run_is_failed():
    console = Console(record=True, width=200)
    assert not report.verdict(console, judge("a run", dataclasses.replace(GOOD, nodes_at_final=4)))
    assert "failed: 1 of 5 gates" in console.export_text()
    assert report.verdict(console, judge("a run", GOOD))
