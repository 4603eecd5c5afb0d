"""A state made edit by edit is the state made at once, and both find what a plain comparison of all with all finds."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import replace
from random import Random

import pytest

from xds import names
from xds.api.references import Reference
from xds.api.tables import Kind
from xds.config.difference import difference
from xds.config.files import ParsedFile
from xds.config.problems import Problem
from xds.config.resource import Resource
from xds.config.scope import NodeFacts, overlap, parse_selectors
from xds.config.snapshot import InconsistentSnapshot, Snapshot
from xds.engine.record import make_record

PATHS, NAMES = ("a.yaml", "b.yaml", "c.yaml", "d.yaml", "e.yaml"), ("x", "y", "z")
SELECTORS = [(), *(parse_selectors({"node_id": pattern})[0] for pattern in ("web", "api", "w*"))]
NODES = [NodeFacts(None, name) for name in ("web", "api", "west", "other")]
CHILD = {names.CLUSTER: names.ENDPOINT, names.LISTENER: names.ROUTE}
KEYS = [*itertools.product((names.CLUSTER, names.ENDPOINT, names.LISTENER, names.ROUTE), NAMES)]


def _resource(draw, path, line, key):
    type_url, name = key
    children, references = [], []
    if type_url in CHILD and draw.random() < 0.2:
        children = [(CHILD[type_url], draw.choice(NAMES))]
    if type_url in {names.ROUTE, names.LISTENER} and draw.random() < 0.5:
        references = [Reference(draw.choice(NAMES), "route.cluster", draw.choice(list(Kind)))]
    body = draw.choice([b"1", b"2"])
    record = make_record(type_url, name, body, children=children, source=f"{path}:{line}")
    return Resource(record, path, line, tuple(references), ())


def _file(draw, path):
    held = draw.sample(KEYS, draw.randint(0, 3))
    found = tuple(_resource(draw, path, line, key) for line, key in enumerate(held, 1))
    return ParsedFile(path, draw.choice(SELECTORS), found, draw.choice([(), (Problem(path, "is odd", 9),)]))


def _edited(draw, path, file):
    """Another file, none any more, or the same for other nodes."""
    kind = draw.choice(["file", "file", "none", "nodes"])
    if kind == "nodes" and file is not None:
        return replace(file, selectors=draw.choice(SELECTORS))
    return None if kind == "none" else _file(draw, path)


def _plainly(state):
    """(errors, warnings) as (file, resource): every pair of files, every reference against every file."""
    holders = defaultdict(list)
    for path in sorted(state):
        for resource in state[path].resources:
            holders[resource.key].append(state[path])
    errors, warnings = [], [(path, "") for path in sorted(state) if state[path].warnings]
    for path, file in state.items():
        for resource in file.resources:
            near = {key for key, those in holders.items() if any(overlap(file.selectors, o.selectors) for o in those)}
            earlier = [other for other in holders[resource.key] if other.path < path]
            errors += [(path, resource.title)] * any(overlap(file.selectors, other.selectors) for other in earlier)
            errors += [(path, resource.title) for child in resource.record.children if child not in near]
            for reference in resource.references:
                if (names.CLUSTER, reference.cluster) not in near:
                    (errors if reference.kind is Kind.TRAFFIC else warnings).append((path, resource.title))
    return sorted(errors), sorted(warnings)


def _seen(snapshot):
    """All that a snapshot says, by what nodes get."""
    said = {}
    for facts in NODES:
        key = snapshot.scopes(facts)
        said[facts.node_id] = key, dict(snapshot.records_for(key)), snapshot.problems(key)
    return dict(snapshot.files), snapshot.resources, snapshot.warnings, said


def _made(make, *arguments):
    try:
        return make(*arguments), ()
    except InconsistentSnapshot as error:
        return None, error.problems


@pytest.mark.parametrize("seed", range(40))
def test_edit_by_edit_and_at_once_are_the_same(seed):
    draw = Random(seed)
    state, pending, live = {}, {}, Snapshot.build(())
    kept = [(live, _seen(live))]
    for _ in range(60):
        pending |= {path: _edited(draw, path, state.get(path)) for path in draw.sample(PATHS, draw.randint(1, 2))}
        state = {path: file for path, file in {**state, **pending}.items() if file is not None}
        changed = [file for file in pending.values() if file is not None]
        removed = [path for path, file in pending.items() if file is None]
        following, errors = _made(live.next, changed, removed)
        built, expected = _made(Snapshot.build, state.values())
        plain_errors, plain_warnings = _plainly(state)
        assert errors == expected
        assert sorted((problem.file, problem.resource) for problem in errors) == plain_errors
        if following is not None:
            assert _seen(following) == _seen(built)
            assert sorted((problem.file, problem.resource) for problem in following.warnings) == plain_warnings
            _check_step(live, following)
            live, pending = following, {}
            kept.append((live, _seen(live)))
        elif draw.random() < 0.7:
            state, pending = dict(live.files), {}
    assert all(_seen(snapshot) == seen for snapshot, seen in kept)


def _check_step(old, new):
    """What views and the log are told of a change is what differs."""
    for before, after in itertools.product(NODES, NODES):
        key_old, key_new = old.scopes(before), new.scopes(after)
        upserts, removals = difference(new.changes_since(old), new.files, key_old, key_new)
        view = {key: record.version for key, record in old.records_for(key_old).items() if key not in removals}
        view |= {(record.type_url, record.name): record.version for record in upserts}
        assert view == {key: record.version for key, record in new.records_for(key_new).items()}
    fresh = new.warnings_since(old)
    assert set(fresh) == set(new.warnings) - set(old.warnings)


@pytest.mark.parametrize("seed", range(40))
def test_what_some_nodes_lack_is_found_from_what_the_others_have(seed):
    draw = Random(seed)
    snapshot = Snapshot.build(())
    for _ in range(60):
        path = draw.choice(PATHS)
        following, _ = _made(snapshot.next, [_file(draw, path)])
        snapshot = following or snapshot
        for facts in NODES:
            _check_lacking(snapshot, snapshot.scopes(facts))


def _check_lacking(snapshot, key):
    theirs = snapshot.records_for(key)
    lacking = {
        (path, resource.title)
        for path, file in snapshot.files.items()
        if not file.selectors or path in key
        for resource in file.resources
        for target in (*resource.record.children, *((names.CLUSTER, one.cluster) for one in resource.references))
        if target not in theirs
    }
    found, known = snapshot.problems(key), snapshot.warnings
    assert lacking <= {(problem.file, problem.resource) for problem in (*found, *known)}
    assert {(problem.file, problem.resource) for problem in found} <= lacking
    assert not {*found} & {*known}
