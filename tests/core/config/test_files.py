"""A file's text to resources, and every kind of mistake with its file, line, column, resource and field."""

from __future__ import annotations

import json

import pytest

from xds import limits, names
from xds.config.files import WRAPPER, parse_file
from xds.config.problems import FileError, Problem
from xds.config.scope import Selector
from xds.errors import ConfigError

CLUSTER = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
GOOD = f"""
version_info: "7"
type_url: {CLUSTER}
resources:
- "@type": {CLUSTER}
  name: web
  type: EDS
  connect_timeout: 0.25s
  eds_cluster_config:
    eds_config: {{ads: {{}}, resource_api_version: V3}}
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  clusterName: web
"""


def _problems(text, path="a.yaml"):
    with pytest.raises(FileError) as caught:
        parse_file(path, text)
    assert isinstance(caught.value, ConfigError)
    return caught.value


def _one(text, path="a.yaml"):
    error = _problems(text, path)
    (problem,) = error.problems
    assert (error.file, error.line, error.column, error.resource, error.field) == (
        problem.file,
        problem.line,
        problem.column,
        problem.resource,
        problem.field,
    )
    return problem


def test_a_file_in_envoys_own_format():
    file = parse_file("clusters.yaml", GOOD)
    web, endpoints = file.resources
    assert file.path == "clusters.yaml"
    assert file.selectors == ()
    assert file.warnings == ()
    assert web.key == (names.CLUSTER, "web")
    assert web.record.source == "clusters.yaml:5"
    assert web.record.children == ((names.ENDPOINT, "web"),)
    assert web.title == 'Cluster "web"'
    assert endpoints.record.name == "web"
    assert endpoints.line == 11
    assert dict(file.records) == {resource.key: resource.record for resource in file.resources}


def test_json_means_the_same():
    as_json = {
        "resources": [
            {
                "@type": CLUSTER,
                "name": "web",
                "type": "EDS",
                "connectTimeout": "0.25s",
                "edsClusterConfig": {"edsConfig": {"ads": {}, "resourceApiVersion": "V3"}},
            },
        ],
    }
    (from_json,) = parse_file("a.json", json.dumps(as_json)).resources
    assert from_json.record.body == parse_file("a.yaml", GOOD).resources[0].record.body
    assert from_json.record.source == "a.json:1"


def test_order_and_spelling_do_not_change_the_version():
    one = parse_file("a.yaml", f"resources: [{{'@type': {CLUSTER}, name: x, connect_timeout: 1s, type: STATIC}}]")
    two = parse_file("b.yaml", f"resources: [{{type: 0, connectTimeout: 1.000s, name: x, '@type': {CLUSTER}}}]")
    assert one.resources[0].record.version == two.resources[0].record.version


@pytest.mark.parametrize("text", ["resources: []", '{"resources": []}', "resources: []\nnodes: {node_id: x}"])
def test_a_file_may_be_without_resources(text):
    assert parse_file("a.yaml", text).resources == ()


def test_the_wrapper_gives_a_name():
    text = """
resources:
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
  name: routes/host
  version: "3"
  resource:
    "@type": type.googleapis.com/envoy.config.route.v3.VirtualHost
    name: host
    domains: ["*"]
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
  resource:
    "@type": type.googleapis.com/envoy.config.route.v3.VirtualHost
    name: bare
    domains: ["*"]
"""
    wrapped, bare = parse_file("a.yaml", text).resources
    assert wrapped.key == (names.VIRTUAL_HOST, "routes/host")
    assert wrapped.line == 3
    assert bare.key == (names.VIRTUAL_HOST, "bare")


@pytest.mark.parametrize(
    ("extra", "field", "message"),
    [
        ("ttl: 5s", "ttl", "an expiring resource crashes Envoy"),
        ("aliases: [x]", "aliases", "not carried"),
        ("cache_control: {}", "cache_control", "not carried"),
        ("name: 5", "name", "expects text"),
        ("name: '*'", "name", "may not be *"),
    ],
)
def test_what_a_wrapper_may_not_say(extra, field, message):
    text = f"""
resources:
- "@type": type.googleapis.com/envoy.service.discovery.v3.Resource
  {extra}
  resource: {{"@type": {CLUSTER}, name: web}}
"""
    problem = _one(text)
    assert (problem.line, problem.field) == (4, field) or field == "name"
    assert message in problem.message


def test_a_wrapper_without_a_resource():
    problem = _one('resources: [{"@type": type.googleapis.com/envoy.service.discovery.v3.Resource, name: x}]')
    assert "expects the resource itself" in problem.message


RESOURCE = f"""resources:
- "@type": {CLUSTER}
  name: web
"""


@pytest.mark.parametrize(
    ("lines", "line", "column", "field", "message"),
    [
        ("  typ: EDS", 4, 3, "typ", "has no field 'typ'; did you mean type? (this build carries xds-protos"),
        (
            "  type: EDZ",
            4,
            9,
            "type",
            "expects one of STATIC, STRICT_DNS, LOGICAL_DNS, EDS, ORIGINAL_DST; did you mean EDS?",
        ),
        ("  connect_timeout: 5", 4, 20, "connect_timeout", "a duration in seconds, such as 5s"),
        ("  connect_timeout: {}", 4, 20, "connect_timeout", "a duration in seconds, such as 5s"),
        ("  alt_stat_name: 5", 4, 18, "alt_stat_name", "unquoted, this is a number: put it in quotes"),
        ("  alt_stat_name: n", 4, 18, "alt_stat_name", "unquoted, this is a boolean: put it in quotes"),
        ("  alt_stat_name: [x]", 4, 18, "alt_stat_name", "expects text"),
        (
            "  ignore_health_on_host_removal: 'true'",
            4,
            34,
            "ignore_health_on_host_removal",
            "true or false, without quotes",
        ),
        (
            "  per_connection_buffer_limit_bytes: -1",
            4,
            38,
            "per_connection_buffer_limit_bytes",
            "32 bits, not negative",
        ),
        ("  load_assignment: web", 4, 20, "load_assignment", "expects a mapping (ClusterLoadAssignment)"),
        ("  health_checks: {}", 4, 18, "health_checks", "expects a list"),
        ("  health_checks:\n  - timeout: x", 5, 14, "health_checks[0].timeout", "a duration"),
        ("  metadata: {filter_metadata: [x]}", 4, 31, "metadata.filter_metadata", "expects a mapping"),
        ("  type: EDS\n  cluster_type: {name: x}", 5, 3, "cluster_type", "cannot stand beside type"),
        ("  connectTimeout: 1s\n  connect_timeout: 1s", 5, 3, "connect_timeout", "cannot stand beside connectTimeout"),
        (
            "  typed_extension_protocol_options:\n    a.b: {explicit_http_config: {}}",
            5,
            10,
            "typed_extension_protocol_options.a.b",
            'lacks "@type"',
        ),
        (
            '  transport_socket:\n    typed_config: {"@type": type.googleapis.com/acme.Filter}',
            5,
            29,
            "transport_socket.typed_config.@type",
            "unknown type 'acme.Filter': this build carries xds-protos",
        ),
        (
            '  transport_socket:\n    typed_config: {"@type": acme.Filter}',
            5,
            29,
            "transport_socket.typed_config.@type",
            "expects type.googleapis.com/",
        ),
        (
            (
                "  transport_socket:\n    typed_config:\n"
                '      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext\n'
                "      common_tls_context:\n        key_log: {path: /tmp/x}"
            ),
            8,
            18,
            "transport_socket.typed_config.common_tls_context.key_log",
            "makes Envoy write the keys",
        ),
    ],
)
def test_a_mistake_in_a_resource_names_its_place_resource_and_field(lines, line, column, field, message):
    problem = _one(RESOURCE + lines + "\n")
    assert (problem.file, problem.resource) == ("a.yaml", 'Cluster "web"')
    assert (problem.line, problem.column, problem.field) == (line, column, field)
    assert message in problem.message
    assert str(problem).startswith(f'a.yaml:{line}:{column}: Cluster "web": {field}: ')


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("- a\n- b", 1, "expects a mapping with `resources` at its top"),
        ("text", 1, "expects a mapping with `resources` at its top"),
        ("{}", 1, "lacks `resources`"),
        ("resources:", 1, "expects a list (an empty one is written [])"),
        ("resources: {}", 1, "expects a list"),
        ("resources: []\nresource: []", 2, "did you mean resources?"),
        ("resources: []\nxyz: []", 2, "there are resources, nodes"),
        ("resources: [web]", 1, 'expects a mapping with "@type"'),
        ("resources: [{name: web}]", 1, 'lacks "@type"'),
        ("resources: [{'@type': [x]}]", 1, 'has an "@type" that is not text'),
        ("resources:\n- '@type': nonsense", 2, "unknown type 'nonsense'"),
        (
            "resources:\n- '@type': type.googleapis.com/envoy.config.core.v3.Address",
            2,
            "not a type that Envoy subscribes to",
        ),
        ("resources:\n- '@type': envoy.config.cluster.v3.Cluster", 2, "not a type that Envoy subscribes to"),
        (f"resources:\n- '@type': {CLUSTER}", 2, "is missing: a resource is subscribed to by its name"),
        (f"resources:\n- '@type': {CLUSTER}\n  name: '*'", 3, "may not be *"),
        (f"resources:\n- '@type': {CLUSTER}\n  name: {'x' * 3000}", 3, "is longer than 2048 bytes"),
        ("resources: []\nnodes: []", 2, "leave `nodes` out if the file is for every node"),
        ("resources: []\nnodes: [{}]", 2, "expects a mapping with some of spiffe_id, node_id, cluster, metadata"),
        ("resources: []\nnodes:\n- node: x", 3, "is no attribute of a node"),
        ("resources: []\nnodes:\n- node_id: ''", 3, "expects a pattern"),
        ("resources: []\nnodes:\n- metadata: x", 3, "expects a mapping from keys to patterns"),
        ("resources: []\nnodes:\n- metadata:\n    zone: {}", 4, "expects a pattern"),
        ("resources: [", 2, "is not YAML"),
        ("", 0, "is empty"),
    ],
)
def test_a_mistake_in_the_file_names_its_line(text, line, message):
    problem = _one(text)
    assert message in problem.message
    assert problem.line == line


def test_a_secret_does_not_belong_here_and_is_not_shown():
    text = """
resources:
- "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret
  name: mine
  tls_certificate: {private_key: {inline_string: canary-secret}}
"""
    problem = _one(text)
    assert "keys are served by SDS" in problem.message
    assert (problem.line, problem.resource) == (3, 'Secret "mine"')
    assert "canary" not in str(problem)


def test_a_key_in_a_resource_is_refused_by_path_and_not_by_value():
    text = (
        RESOURCE
        + """
  transport_socket:
    name: tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      common_tls_context:
        tls_certificates:
        - private_key:
            inline_string: canary-secret
"""
    )
    problem = _one(text)
    path = "transport_socket.typed_config.common_tls_context.tls_certificates[0].private_key"
    assert (problem.line, problem.field) == (12, path)
    assert "canary" not in str(problem)


@pytest.mark.parametrize("value", ["{canary: 1}", "[canary]", "canary", "'canary'", "5"])
@pytest.mark.parametrize(
    "field",
    ["type", "connect_timeout", "ignore_health_on_host_removal", "per_connection_buffer_limit_bytes", "health_checks"],
)
def test_an_error_never_quotes_a_value(field, value):
    if (field, value) == ("per_connection_buffer_limit_bytes", "5"):
        return
    error = _problems(f"{RESOURCE}  {field}: {value}")
    assert all("canary" not in p.message.replace("'canary'", "") or "no field" in p.message for p in error.problems)


KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5T56OPHKFxOThMgx"
PEM = "-----BEGIN PRIVATE" + f" KEY-----\n{KEY}"


@pytest.mark.parametrize("path", ["a.json", "a.yaml"])
@pytest.mark.parametrize("key", [KEY, PEM, KEY.replace("A", "/")])
@pytest.mark.parametrize(
    "change",
    [
        lambda key: {key: 1},
        lambda key: {"name": key, "typ": 1},
        lambda key: {"metadata": {"filter_metadata": {key: 5}}},
        lambda key: {"metadata": {key: 5}},
        lambda key: {"type": key},
        lambda key: {"@type": f"type.googleapis.com/{key}"},
        lambda key: {"@type": key},
        lambda key: {"transport_socket": {"typed_config": {"@type": f"type.googleapis.com/foo.{key}"}}},
        lambda key: {"transport_socket": {"typed_config": {"@type": key}}},
        lambda key: {"connect_timeout": key},
    ],
)
def test_a_key_in_the_wrong_place_is_never_quoted(change, key, path):
    resource = {"@type": CLUSTER, "name": "web", **change(key)}
    error = _problems(json.dumps({"resources": [resource]}), path)
    assert KEY[8:24] not in f"{error} {error.problems!r}"
    error = _problems(json.dumps({"resources": [], key: [resource], "nodes": {key: "x"}}), path)
    assert KEY[8:24] not in f"{error} {error.problems!r}"


@pytest.mark.parametrize("path", ["a.json", "a.yaml"])
def test_a_key_as_a_key_twice_or_as_a_tag_is_never_quoted(path):
    texts = [
        '{"resources": [{"' + KEY + '": 1, "' + KEY + '": 2}]}',
        f"!<{KEY}> {{}}",
        f"resources: [!{KEY} x, *{KEY}]",
    ]
    for text in texts:
        assert KEY[8:24] not in str(_problems(text, path))


def test_a_key_as_a_name_is_refused_also_in_a_wrapper():
    wrapped = {"@type": WRAPPER, "name": PEM, "resource": {"@type": CLUSTER, "name": "web"}}
    for resource in ({"@type": CLUSTER, "name": PEM}, wrapped):
        problem = _one(json.dumps({"resources": [resource]}), "a.json")
        assert "holds a private key" in problem.message
        assert problem.resource == "Cluster (withheld: it may be a key)"


def test_a_long_name_is_cut():
    problem = _one(json.dumps({"resources": [{"@type": CLUSTER, "name": "web " * 50, "typ": 1}]}), "a.json")
    assert problem.resource == f"Cluster '{'web ' * 16}\\u2026'"


def test_every_mistake_of_a_file_is_told_at_once_in_order():
    text = f"""
resources:
- "@type": {CLUSTER}
  name: one
  typ: EDS
  connect_timeout: soon
- name: two
- "@type": {CLUSTER}
  name: three
  lb_policy: FAIR
nods: []
"""
    error = _problems(text)
    assert [problem.line for problem in error.problems] == [5, 6, 7, 10, 11]
    assert str(error).count("\n") == 4
    assert error.line == 5


def test_many_mistakes_are_counted():
    text = "resources:\n" + "- {}\n" * 50
    assert str(_problems(text)).endswith("… and 30 more")


def test_two_of_a_name_in_one_file_are_told_with_both_places():
    text = RESOURCE + f'- "@type": {CLUSTER}\n  name: web\n'
    problem = _one(text)
    assert problem == Problem("a.yaml", "stands here twice; the first is at a.yaml:2", 4, 0, 'Cluster "web"')


def test_equal_names_of_different_types_are_fine():
    assert len(parse_file("a.yaml", GOOD).resources) == 2


def test_a_json_mistake_is_placed_as_exactly():
    text = '{"resources": [\n {"@type": "' + CLUSTER + '",\n  "name": "web",\n  "type": "EDZ"}]}'
    problem = _one(text, "a.json")
    assert (problem.line, problem.column, problem.field) == (4, 11, "type")


def test_selectors():
    text = "resources: []\nnodes:\n- spiffe_id: spiffe://td/web/*\n- {node_id: [a, b*], metadata: {zone: 1}}"
    assert parse_file("a.yaml", text).selectors == (
        Selector((("spiffe_id", ("spiffe://td/web/*",)),)),
        Selector((("metadata.zone", ("1",)), ("node_id", ("a", "b*")))),
    )


def test_a_huge_file_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(limits, "CONFIG_FILE_BYTES_MAX", 10)
    assert "larger than 10 bytes" in _one("resources: []").message


def test_advice_becomes_warnings_with_places():
    text = (
        RESOURCE
        + """
  transport_socket:
    name: tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      common_tls_context:
        tls_certificate_sds_secret_configs:
        - name: default
          sds_config:
            api_config_source:
              api_type: GRPC
              grpc_services: [{envoy_grpc: {cluster_name: legation_sds}}]
"""
    )
    (warning,) = parse_file("a.yaml", text).warnings
    assert (warning.line, warning.resource) == (2, 'Cluster "web"')
    assert "legation snippet secret NAME" in warning.message
