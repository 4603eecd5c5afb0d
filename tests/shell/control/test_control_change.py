"""One change of many resources: its work does not grow with what did not change, and every view ends up right."""

from __future__ import annotations

import logging
import sys
from random import Random

import pytest
from control_support import cluster

from xds import names
from xds.config.files import ParsedFile, parse_file
from xds.config.problems import Problem
from xds.config.resource import Resource
from xds.config.scope import NodeFacts
from xds.config.snapshot import InconsistentSnapshot, Snapshot
from xds.control.contents import Contents
from xds.control.publisher import Publisher
from xds.control.readiness import Readiness
from xds.control.scan import Listing, Stamp
from xds.control.store import Store
from xds.engine.record import make_record

WEB = NodeFacts(None, "web")
NODES = [NodeFacts(None, name) for name in ("web", "api", "west", "other")]


def one(path: str, body: bytes = b"", warnings: tuple[Problem, ...] = ()) -> ParsedFile:
    """A file with one cluster, made without parsing."""
    record = make_record(names.CLUSTER, path, body, source=path)
    return ParsedFile(path, (), (Resource(record, path, 1, (), ()),), warnings)


def work_of(function) -> int:
    """Bytecodes that a call executes, inner calls included: a measure that no other process disturbs."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def change_of_one_among(files: int) -> int:
    snapshot = Snapshot.build(one(f"{number}.yaml", warnings=(Problem("x", "y"),)) for number in range(files))
    store: Store[str] = Store()
    store.publish(snapshot)
    store.join("stream", WEB)
    publisher = Publisher(store, Readiness(), on_change=lambda: None, wake=lambda _: None)
    return work_of(lambda: publisher.publish(snapshot.next([one("7.yaml", b"new")])))


def test_the_work_of_a_change_does_not_grow_with_the_resources():
    assert change_of_one_among(5000) < 1.5 * change_of_one_among(500)


def test_nor_does_what_the_directory_adds_after_its_stamps_are_compared():
    def work(files: int) -> int:
        contents, listing = Contents("/dir"), Listing({f"{n}.yaml": Stamp(0, n, 0, 0, 0) for n in range(files)})
        contents.begin(listing, everything=False)
        for name in listing.files:
            contents.keep(name, b"", one(name))
        contents.published(contents.next())

        def change() -> None:
            contents.keep("7.yaml", b"1", one("7.yaml", b"new"))
            assert contents.problems(listing) == ()
            contents.published(contents.next())

        return work_of(change)

    assert work(5000) < 1.5 * work(500)


def test_a_file_that_was_to_be_read_again_and_is_gone_is_forgotten():
    contents, listing = Contents("/dir"), Listing({"a.yaml": Stamp(0, 1, 0, 0, 0)})
    contents.begin(listing, everything=False)
    contents.keep("a.yaml", b"", (Problem("a.yaml", "is being written"),))
    contents.read_again("a.yaml")
    assert contents.begin(listing, everything=False).read == ("a.yaml",)
    contents.read_again("a.yaml")
    contents.begin(Listing(), everything=False)
    assert contents.problems(Listing()) == ()


def test_the_first_state_is_one_even_if_it_is_empty_and_an_equal_one_is_none():
    contents = Contents("/dir")
    contents.published(contents.next())
    assert contents.next() is None


def test_a_refused_state_leaves_the_live_one_and_the_next_attempt_has_every_edit():
    contents = Contents("/dir")
    contents.keep("a.yaml", b"", parse_file("a.yaml", cluster("same")))
    contents.published(contents.next())
    contents.keep("b.yaml", b"", parse_file("b.yaml", cluster("same")))
    contents.keep("c.yaml", b"", parse_file("c.yaml", cluster("other")))
    with pytest.raises(InconsistentSnapshot):
        contents.next()
    assert contents.live_files == 1
    contents.keep("b.yaml", b"1", parse_file("b.yaml", cluster("own")))
    assert set(contents.next().files) == {"a.yaml", "b.yaml", "c.yaml"}


def _said(caplog, what: str) -> list[dict[str, object]]:
    return [record.legation_fields for record in caplog.records if record.getMessage() == what]


def test_a_warning_is_logged_when_it_is_new(caplog):
    publisher = Publisher(Store(), Readiness(), on_change=lambda: None)
    odd, odder = Problem("a.yaml", "is odd", 3), Problem("b.yaml", "is odder", 4)
    live = Snapshot.build([one("a.yaml", warnings=(odd,)), one("b.yaml")])
    with caplog.at_level(logging.WARNING):
        publisher.publish(live)
        publisher.publish(live := live.next([one("a.yaml", b"1", (odd,)), one("b.yaml", b"1", (odder,))]))
        publisher.publish(live.next([one("b.yaml", b"2")]))
    assert [said["error"] for said in _said(caplog, "resources doubtful")] == ["is odd", "is odder"]


def test_the_first_node_of_a_view_that_lacks_what_its_resources_name_is_told_of(caplog):
    table = f"""\
resources:
- "@type": {names.ROUTE}
  name: r
  virtual_hosts: [{{name: h, domains: ["*"], routes: [{{match: {{prefix: /}}, route: {{cluster: zonal}}}}]}}]
"""
    store: Store[str] = Store()
    zonal = parse_file("zone.yaml", f"nodes: {{node_id: web}}\n{cluster('zonal')}")
    store.publish(Snapshot.build([parse_file("r.yaml", table), zonal]))
    with caplog.at_level(logging.WARNING):
        store.join("one", WEB)
        store.join("two", NodeFacts(None, "api"))
        store.join("three", NodeFacts(None, "api-2"))
    (said,) = _said(caplog, "resources doubtful for some nodes")
    assert (said["node"], said["file"], said["line"]) == ("api", "r.yaml", 2)
    assert 'Cluster "zonal"' in str(said["error"])


@pytest.mark.parametrize("seed", range(20))
def test_whatever_changes_every_view_is_what_its_nodes_get(seed):
    draw = Random(seed)
    store: Store[str] = Store()
    live = Snapshot.build(())
    store.publish(live)
    views = {facts.node_id: store.join(facts.node_id, facts) for facts in NODES}
    for _ in range(40):
        live = _drawn(draw, live)
        for node in store.publish(live).displaced:
            store.leave(node, views[node])
            views[node] = store.join(node, NodeFacts(None, node))
        for facts in NODES:
            view, expected = views[facts.node_id], live.records_for(live.scopes(facts))
            held = view.records(names.CLUSTER)
            assert {name: record.version for name, record in held.items()} == {
                name: record.version for (_, name), record in expected.items()
            }
        assert len({group.view for group in store.groups}) == len(store.groups) <= len(NODES)


def _drawn(draw: Random, live: Snapshot) -> Snapshot:
    """The next state, the same one if what was drawn is refused."""
    path = draw.choice(["a.yaml", "b.yaml", "c.yaml"])
    if draw.random() < 0.2:  # one in five
        return live.next((), [path])
    nodes = draw.choice(["", *(f"nodes: {{node_id: {pattern}}}\n" for pattern in ("web", "api", "w*"))])
    text = nodes + cluster(draw.choice("pqr"), draw.choice(["1s", "2s"]))
    try:
        return live.next([parse_file(path, text)])
    except InconsistentSnapshot:
        return live
