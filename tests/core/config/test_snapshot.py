from __future__ import annotations

import pytest

from xds import names
from xds.config.difference import difference
from xds.config.files import parse_file
from xds.config.scope import NodeFacts
from xds.config.snapshot import InconsistentSnapshot, Snapshot

WEB, API = NodeFacts(None, "web"), NodeFacts(None, "api")


def _static(name="one", timeout="1s"):
    return f'{{"@type": {names.CLUSTER}, name: {name}, connect_timeout: {timeout}}}'


def _eds(name="one", service=""):
    config = f"{{eds_config: {{ads: {{}}}}, service_name: '{service}'}}"
    return f'{{"@type": {names.CLUSTER}, name: {name}, type: EDS, eds_cluster_config: {config}}}'


def _endpoints(name="one"):
    return f'{{"@type": {names.ENDPOINT}, cluster_name: {name}}}'


def _route(*clusters, name="r", extra=""):
    routes = ", ".join(f"{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}" for cluster in clusters)
    hosts = f"[{{name: h, domains: ['*'], routes: [{routes}]}}]"
    return f'{{"@type": {names.ROUTE}, name: {name}, virtual_hosts: {hosts}{extra}}}'


def _listener(route="r"):
    hcm = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    config = (
        f'{{"@type": type.googleapis.com/{hcm}, rds: {{config_source: {{ads: {{}}}}, route_config_name: {route}}}}}'
    )
    return (
        f'{{"@type": {names.LISTENER}, name: in, filter_chains: [{{filters: [{{name: f, typed_config: {config}}}]}}]}}'
    )


def _file(path, *resources, nodes=None):
    lines = ["resources:", *(f"- {resource}" for resource in resources)] if resources else ["resources: []"]
    if nodes:
        lines.append(f"nodes: {nodes}")
    return parse_file(path, "\n".join(lines))


def _refused(*files):
    with pytest.raises(InconsistentSnapshot) as caught:
        Snapshot.build(files)
    return caught.value.problems


def _names(snapshot, key=()):
    return {name for _, name in snapshot.records_for(key)}


def test_everybody_gets_what_is_for_everybody():
    snapshot = Snapshot.build([_file("b.yaml", _static("two")), _file("a.yaml", _static("one"))])
    assert snapshot.scopes(WEB) == ()
    assert _names(snapshot) == {"one", "two"}
    assert sorted(snapshot.files) == ["a.yaml", "b.yaml"]
    assert snapshot.resources == 2
    assert snapshot.warnings == ()


def test_nodes_with_an_equal_key_share_and_others_do_not():
    snapshot = Snapshot.build(
        [
            _file("base.yaml", _static("base")),
            _file("w.yaml", _static("w"), nodes="{node_id: w*}"),
            _file("a.yaml", _static("a"), nodes="[{node_id: api}, {cluster: x}]"),
        ],
    )
    assert snapshot.scopes(WEB) == snapshot.scopes(NodeFacts(None, "web-2")) == ("w.yaml",)
    assert snapshot.scopes(API) == snapshot.scopes(NodeFacts(None, "other", "x")) == ("a.yaml",)
    assert snapshot.scopes(NodeFacts(None, "web", "x")) == ("a.yaml", "w.yaml")
    assert _names(snapshot, ("w.yaml",)) == {"base", "w"}
    assert _names(snapshot, ("a.yaml", "w.yaml")) == {"base", "a", "w"}


def test_one_name_twice_is_refused_with_both_places():
    (problem,) = _refused(_file("a.yaml", _static()), _file("b.yaml", _static("x"), _static()))
    assert str(problem) == 'b.yaml:3: Cluster "one": is defined at a.yaml:2 as well, and one node can get both'


@pytest.mark.parametrize("nodes", ["{node_id: web*}", "{cluster: x}", "{metadata: {zone: a}}"])
def test_one_name_twice_is_refused_if_one_node_can_get_both(nodes):
    assert _refused(_file("a.yaml", _static(), nodes="{node_id: web}"), _file("b.yaml", _static(), nodes=nodes))


def test_one_name_for_different_nodes_is_an_overlay():
    snapshot = Snapshot.build(
        [
            _file("a.yaml", _static(timeout="1s"), nodes="{node_id: web}"),
            _file("b.yaml", _static(timeout="2s"), nodes="{node_id: api}"),
            _file("routes.yaml", _route("one")),
        ],
    )
    web = snapshot.records_for(snapshot.scopes(WEB))[names.CLUSTER, "one"]
    api = snapshot.records_for(snapshot.scopes(API))[names.CLUSTER, "one"]
    assert web.version != api.version
    assert snapshot.problems(snapshot.scopes(WEB)) == ()
    (problem,) = snapshot.problems(snapshot.scopes(NodeFacts(None, "third")))
    assert problem.message == 'names Cluster "one", which is in no file for these nodes'


def test_a_route_to_a_cluster_that_does_not_exist_is_refused():
    (problem,) = _refused(_file("a.yaml", _static("one")), _file("r.yaml", _route("one", "two")))
    assert (problem.file, problem.line, problem.resource) == ("r.yaml", 2, 'RouteConfiguration "r"')
    assert problem.field == "virtual_hosts[0].routes[1].route.cluster"
    assert 'Cluster "two"' in problem.message


def test_also_if_it_exists_for_other_nodes_only():
    files = [_file("c.yaml", _static(), nodes="{node_id: api}"), _file("r.yaml", _route("one"), nodes="{node_id: web}")]
    assert len(_refused(*files)) == 1


def test_a_cluster_of_our_bootstrap_or_a_table_that_says_so_is_not_checked():
    Snapshot.build([_file("r.yaml", _route("legation_xds", "legation_sds"))])
    Snapshot.build([_file("r.yaml", _route("mine", extra=", validate_clusters: false"))])


def test_a_service_that_we_do_not_know_is_a_warning():
    tracer = (
        "typed_config: {'@type': type.googleapis.com/envoy.config.trace.v3.ZipkinConfig, collector_cluster: zipkin}"
    )
    hcm = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    config = f'{{"@type": type.googleapis.com/{hcm}, tracing: {{provider: {{name: z, {tracer}}}}}}}'
    chain = f"[{{filters: [{{name: f, typed_config: {config}}}]}}]"
    (warning,) = Snapshot.build(
        [_file("l.yaml", f'{{"@type": {names.LISTENER}, name: in, filter_chains: {chain}}}')]
    ).warnings
    assert 'Cluster "zipkin"' in warning.message
    assert warning.file == "l.yaml"


def test_a_cluster_whose_endpoints_are_nowhere_is_refused_naming_both():
    (problem,) = _refused(_file("a.yaml", _eds("web", "web-v2"), _endpoints("web")))
    assert problem.resource == 'Cluster "web"'
    assert 'ClusterLoadAssignment "web-v2"' in problem.message
    Snapshot.build([_file("a.yaml", _eds("web", "web-v2")), _file("b.yaml", _endpoints("web-v2"))])


def test_a_listener_whose_routes_are_nowhere_is_refused_naming_both():
    (problem,) = _refused(_file("a.yaml", _listener("r")))
    assert problem.resource == 'Listener "in"'
    assert 'RouteConfiguration "r"' in problem.message
    Snapshot.build([_file("a.yaml", _listener("r"), _route("one"), _static("one"))])


def test_every_problem_is_told():
    problems = _refused(_file("b.yaml", _eds("x"), _route("none")), _file("a.yaml", _listener("gone")))
    assert [(problem.file, problem.line) for problem in problems] == [("a.yaml", 2), ("b.yaml", 2), ("b.yaml", 3)]


def _diff(old, new, key_old=(), key_new=()):
    upserts, removals = difference(new.changes_since(old), new.files, key_old, key_new)
    return sorted(record.name for record in upserts), sorted(name for _, name in removals)


def test_the_first_state_is_all_upserts():
    assert _diff(None, Snapshot.build([_file("a.yaml", _static("a"), _static("b"))])) == (["a", "b"], [])


def test_only_what_changed_is_in_a_diff():
    kept = _file("kept.yaml", _static("kept"))
    old = Snapshot.build([kept, _file("a.yaml", _static("a"), _static("b"), _static("c"))])
    new = Snapshot.build([kept, _file("a.yaml", _static("b"), _static("c", "9s"), _static("d"))])
    assert _diff(old, new) == (["c", "d"], ["a"])
    assert _diff(new, new) == ([], [])


def test_a_resource_that_moves_to_another_file_is_no_change():
    old = Snapshot.build([_file("a.yaml", _static("a"), _static("b"))])
    new = Snapshot.build([_file("a.yaml", _static("a")), _file("b.yaml", _static("b"))])
    assert _diff(old, new) == ([], [])


def test_a_file_that_goes_takes_its_resources():
    old = Snapshot.build([_file("a.yaml", _static("a")), _file("b.yaml", _static("b"))])
    assert _diff(old, Snapshot.build([_file("a.yaml", _static("a"))])) == ([], ["b"])


def test_a_view_whose_scope_changes():
    base = _file("base.yaml", _static("base"))
    web = _file("w.yaml", _static("x", "1s"), nodes="{node_id: web}")
    api = _file("a.yaml", _static("x", "2s"), _static("z"), nodes="{node_id: api}")
    snapshot = Snapshot.build([base, web, api])
    assert _diff(snapshot, snapshot, ("w.yaml",), ("a.yaml",)) == (["x", "z"], [])
    assert _diff(snapshot, snapshot, ("a.yaml",), ()) == ([], ["x", "z"])
    assert _diff(snapshot, snapshot, ("gone.yaml",), ("gone.yaml",)) == ([], [])


def test_unchanged_files_are_not_looked_at():
    class Untouchable(dict):
        def items(self):
            raise AssertionError

    kept = _file("kept.yaml", _static("kept"))
    old = Snapshot.build([kept])
    new = Snapshot.build([kept, _file("a.yaml", _static("a"))])
    kept.__dict__["records"] = Untouchable()
    assert _diff(old, new) == (["a"], [])
