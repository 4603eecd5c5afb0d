"""Prometheus metrics, computed when they are asked for. Labels are types, protocols and faults: never a node's name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from xds import names
from xds.control.fleet import Connected
from xds.control.flow import SourceStatus
from xds.edge.stream import Tally

OTHER: Final = "other"
"""Label of types that have no short name: clients may ask for any, and must not make series."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that the metrics are made of, at one moment."""

    ready: bool
    change: int
    views: int
    source: SourceStatus
    connected: tuple[Connected, ...]
    rejections: dict[str, int]
    tallies: tuple[Tally, ...]
    tls_rotations: int
    tls_error: bool


def exposition(read: Callable[[], Reading]) -> bytes:
    """The text that Prometheus scrapes."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_Collector(read))
    return generate_latest(registry)


class _Collector(Collector):
    def __init__(self, read: Callable[[], Reading]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        reading = self._read()
        yield from _process(reading)
        yield from _source(reading.source)
        yield from _streams(reading)
        yield from _subscriptions(reading.connected)
        yield from _traffic(reading.tallies)

    def describe(self) -> Iterable[Metric]:
        return ()


def _process(reading: Reading) -> Iterator[Metric]:
    yield _gauge("ready", "1 while this process serves", int(reading.ready))
    yield _counter("changes", "Changes published", reading.change)
    yield _counter("tls_rotations", "Times that the listener's certificate was replaced", reading.tls_rotations)
    yield _gauge("tls_errors", "1 while the listener's newest TLS files cannot be used", int(reading.tls_error))


def _source(status: SourceStatus) -> Iterator[Metric]:
    yield _gauge("source_errors", "Problems that keep the newest resources from being published", len(status.problems))
    yield _gauge("source_files", "Files of the state that is live", status.files)
    yield _gauge("source_resources", "Resources of the state that is live", status.resources)
    yield _counter("source_loads", "Times that the source was read", status.loads)


def _streams(reading: Reading) -> Iterator[Metric]:
    streams = GaugeMetricFamily("legation_xds_streams", "Open streams", labels=("method",))
    for method, count in sorted(Counter(one.stream.method.method for one in reading.connected).items()):
        streams.add_metric((method,), count)
    yield streams
    nodes = {(one.node, one.spiffe_id) for one in reading.connected}
    yield _gauge("nodes", "Nodes with at least one open stream", len(nodes))
    yield _gauge("views", "Groups of nodes that get the same resources", reading.views)
    rejections = CounterMetricFamily("legation_xds_rejections", "Responses that clients rejected", labels=("type",))
    by_type: Counter[str] = Counter()
    for type_url, count in reading.rejections.items():
        by_type[_label(type_url)] += count
    for label, total in sorted(by_type.items()):
        rejections.add_metric((label,), total)
    yield rejections


def _subscriptions(connected: Iterable[Connected]) -> Iterator[Metric]:
    subscribed: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    rejecting: Counter[str] = Counter()
    for one in connected:
        for status in one.stream.session.status():
            label = _label(status.type_url)
            subscribed[label] += 1
            waiting[label] += status.in_flight
            rejecting[label] += status.rejection is not None
    yield _by_type("subscriptions", "Streams subscribed to a type", subscribed)
    yield _by_type("subscriptions_unacknowledged", "Of these, with a response that is not answered yet", waiting)
    yield _by_type("subscriptions_rejecting", "Of these, whose last answer was a rejection", rejecting)


def _traffic(tallies: Iterable[Tally]) -> Iterator[Metric]:
    tallies = tuple(tallies)
    yield _counter("requests", "Requests received, acknowledgements among them", sum(t.requests for t in tallies))
    yield _counter("responses", "Responses sent", sum(t.replies for t in tallies))
    yield _counter("streams_opened", "Streams that began", sum(t.opened for t in tallies))
    refused = CounterMetricFamily("legation_xds_streams_refused", "Streams ended with an error", labels=("fault",))
    faults: Counter[str] = Counter()
    for tally in tallies:
        for fault, count in tally.refused.items():
            faults["internal" if fault is None else fault.value] += count
    for label, total in sorted(faults.items()):
        refused.add_metric((label,), total)
    yield refused


def _label(type_url: str) -> str:
    return names.SHORT.get(type_url, OTHER)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"legation_xds_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"legation_xds_{name}", text, value=value)


def _by_type(name: str, text: str, counts: Counter[str]) -> Metric:
    family = GaugeMetricFamily(f"legation_xds_{name}", text, labels=("type",))
    for label, count in sorted(counts.items()):
        family.add_metric((label,), count)
    return family
