"""Prometheus metrics, computed when they are asked for.

Per certificate (identity 77), but for so many only; those that end first are shown, the others are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ca.server.status import Overview
from ca.svid.rotator import Rotator
from ca.svid.slot import Slot
from xds.edge.stream import Tally

SVIDS_SHOWN_MAX: Final = 500
"""Certificates with series of their own; a larger fleet is watched by the totals."""


class Metrics:
    """What is counted, and how it is written."""

    def __init__(self, overview: Overview, rotator: Rotator, tally: Tally) -> None:
        self._overview = overview
        self._rotator = rotator
        self._tally = tally

    def exposition(self) -> bytes:
        """The text that Prometheus scrapes."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(_Collector(self))
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """Every family."""
        overview = self._overview
        yield _gauge("ready", "1 while this process serves", int(overview.reason() is None))
        yield _gauge("signer_up", "1 while the signer answers", int(overview.upkeep.signer_error is None))
        yield _gauge("streams", "Open SDS streams", len(overview.host.streams))
        yield _gauge("nodes", "Nodes with a stream or a certificate", len(overview.fleet.nodes))
        yield _counter("denied_names", "Names asked for that no entry grants", overview.host.denied_count)
        yield _counter("rejections", "Secrets that clients rejected", overview.host.rejected_count)
        yield from self._entries()
        yield from self._traffic()
        yield from self._svids(list(self._rotator.slots.values()))

    def _entries(self) -> Iterator[Metric]:
        book = self._overview.book
        yield _gauge("entries", "Registration entries that count", len(book.entries))
        yield _gauge("entries_errors", "1 while the entries' files cannot be used", int(book.error is not None))

    def _traffic(self) -> Iterator[Metric]:
        yield _counter("requests", "Requests received, acknowledgements among them", self._tally.requests)
        yield _counter("responses", "Responses sent", self._tally.replies)
        refused = CounterMetricFamily("legation_ca_streams_refused", "Streams ended with an error", labels=("fault",))
        for fault, count in self._tally.refused.items():
            refused.add_metric(("internal" if fault is None else fault.value,), count)
        yield refused

    def _svids(self, slots: list[Slot]) -> Iterator[Metric]:
        yield _counter("issued", "Certificates issued", self._rotator.issued_count)
        errors = CounterMetricFamily("legation_ca_issue_errors", "Attempts that failed", labels=("reason",))
        for reason, count in sorted(self._rotator.error_counts.items()):
            errors.add_metric((reason,), count)
        yield errors
        yield _gauge("svids", "Certificates kept fresh", len(slots))
        yield _gauge("svids_missing", "Of these, without a valid certificate", sum(slot.live is None for slot in slots))
        now_s = self._rotator.now_s()
        in_danger = sum(slot.live is not None and slot.live.in_danger(now_s) for slot in slots)
        yield _gauge("svids_in_danger", "Of these, with less than a tenth of their life left", in_danger)
        yield from _each(sorted(slots, key=lambda slot: slot.urgency_s)[:SVIDS_SHOWN_MAX])


class _Collector(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()

    def describe(self) -> Iterable[Metric]:
        return ()


def _each(slots: list[Slot]) -> Iterator[Metric]:
    labels = ("node", "spiffe_id")
    ends = GaugeMetricFamily("legation_ca_svid_not_after_seconds", "End of the certificate", labels=labels)
    rotates = GaugeMetricFamily("legation_ca_svid_rotate_at_seconds", "When it is replaced", labels=labels)
    success = GaugeMetricFamily("legation_ca_svid_last_success_seconds", "When it was issued last", labels=labels)
    failing = GaugeMetricFamily("legation_ca_svid_last_error", "Why it is not issued", labels=(*labels, "reason"))
    truncated = GaugeMetricFamily("legation_ca_svid_truncated", "1 if shorter than asked for", labels=labels)
    for slot in slots:
        who = (slot.order.node, str(slot.order.spiffe_id))
        rotates.add_metric(who, slot.attempt_at_s)
        if slot.live is not None:
            ends.add_metric(who, slot.live.not_after_s)
            truncated.add_metric(who, slot.truncated)
        if slot.last_success_s is not None:
            success.add_metric(who, slot.last_success_s)
        if slot.error_code:
            failing.add_metric((*who, slot.error_code), 1)
    yield from (ends, rotates, success, failing, truncated)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"legation_ca_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"legation_ca_{name}", text, value=value)
