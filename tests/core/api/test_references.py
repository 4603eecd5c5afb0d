from __future__ import annotations

import pytest
from fakes.envoy_messages import new, pack, parsed

from xds import names
from xds.api import sds
from xds.api.references import children, references, route_clusters

HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
TCP = "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
TLS = "envoy.extensions.transport_sockets.tls.v3"
ADS = {"ads": {}, "resource_api_version": "V3"}
OURS = {"api_config_source": {"api_type": "GRPC", "grpc_services": [{"envoy_grpc": {"cluster_name": "legation_xds"}}]}}
THEIRS = {"api_config_source": {"api_type": "GRPC", "grpc_services": [{"envoy_grpc": {"cluster_name": "other"}}]}}
REST = {"api_config_source": {"api_type": "REST", "cluster_names": ["legation_xds"]}}


def _cluster(**fields):
    return new("envoy.config.cluster.v3.Cluster", name="web", **fields)


def _listener(filter_config, transport=None):
    chain = {"filters": [{"name": "f", "typed_config": pack(filter_config)}]}
    if transport is not None:
        chain["transport_socket"] = {"name": "tls", "typed_config": pack(transport)}
    return new("envoy.config.listener.v3.Listener", name="in", filter_chains=[chain])


def _routes(*actions, **fields):
    routes = [{"match": {"prefix": "/"}, **action} for action in actions]
    hosts = [{"name": "h", "domains": ["*"], "routes": routes}]
    return parsed("envoy.config.route.v3.RouteConfiguration", {"name": "r", "virtual_hosts": hosts, **fields})


@pytest.mark.parametrize("source", [ADS, {"self": {}}, OURS, REST])
def test_a_cluster_makes_the_client_fetch_its_endpoints(source):
    assert children(_cluster(type="EDS", eds_cluster_config={"eds_config": source})) == ((names.ENDPOINT, "web"),)
    named = _cluster(type="EDS", eds_cluster_config={"eds_config": source, "service_name": "web-v2"})
    assert children(named) == ((names.ENDPOINT, "web-v2"),)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"type": "STATIC", "load_assignment": {"cluster_name": "web"}},
        {"type": "STRICT_DNS", "eds_cluster_config": {"eds_config": ADS}},
        {"type": "EDS", "eds_cluster_config": {"eds_config": {"path_config_source": {"path": "/x"}}}},
        {"type": "EDS", "eds_cluster_config": {"eds_config": THEIRS}},
        {"cluster_type": {"name": "x"}},
    ],
)
def test_a_cluster_whose_endpoints_are_not_ours_has_no_children(fields):
    assert children(_cluster(**fields)) == ()


def test_a_listener_makes_the_client_fetch_its_routes_each_once():
    hcm = new(HCM, rds={"config_source": ADS, "route_config_name": "r"})
    listener = _listener(hcm)
    listener.filter_chains.add().CopyFrom(listener.filter_chains[0])
    assert children(listener) == ((names.ROUTE, "r"),)
    assert children(_listener(new(HCM, rds={"config_source": THEIRS, "route_config_name": "r"}))) == ()


def test_a_gateway_listener_in_an_api_listener_too():
    hcm = new(HCM, rds={"config_source": ADS, "route_config_name": "r"})
    listener = new("envoy.config.listener.v3.Listener", name="in", api_listener={"api_listener": pack(hcm)})
    assert children(listener) == ((names.ROUTE, "r"),)


def test_the_clusters_of_routes():
    table = _routes(
        {"route": {"cluster": "a"}},
        {"route": {"weighted_clusters": {"clusters": [{"name": "b", "weight": 1}, {"cluster_header": "x"}]}}},
        {"route": {"cluster_header": "x-cluster"}},
        {"route": {"cluster": "a", "request_mirror_policies": [{"cluster": "mirror"}]}},
        {"route": {"cluster": "legation_xds"}},
        {"redirect": {"path_redirect": "/"}},
        {"direct_response": {"status": 200}},
    )
    assert route_clusters(table) == ("a", "b", "mirror")
    assert route_clusters(_listener(new(HCM, route_config=table))) == ("a", "b", "mirror")
    (first, *_) = references(table).checkable()
    assert first.field == "virtual_hosts[0].routes[0].route.cluster"


def test_routes_that_say_so_are_not_checked():
    unchecked = _routes({"route": {"cluster": "static"}}, validate_clusters=False)
    assert route_clusters(unchecked) == ()
    assert route_clusters(_listener(new(HCM, route_config=unchecked))) == ()
    assert route_clusters(_routes({"route": {"cluster": "static"}}, validate_clusters=True)) == ("static",)


def test_other_proxies_and_services_that_name_clusters():
    assert route_clusters(_listener(new(TCP, stat_prefix="x", cluster="tcp"))) == ("tcp",)
    weighted = parsed(TCP, {"stat_prefix": "x", "weighted_clusters": {"clusters": [{"name": "one", "weight": 1}]}})
    assert route_clusters(_listener(weighted)) == ("one",)
    aggregate = pack(new("envoy.extensions.clusters.aggregate.v3.ClusterConfig", clusters=["p", "q"]))
    found = references(_cluster(cluster_type={"name": "envoy.clusters.aggregate", "typed_config": aggregate}))
    assert [(ref.cluster, ref.field) for ref in found.checkable()] == [
        ("p", "cluster_type.typed_config.clusters[0]"),
        ("q", "cluster_type.typed_config.clusters[1]"),
    ]
    authz = new(
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", grpc_service={"envoy_grpc": {"cluster_name": "authz"}}
    )
    services = _listener(new(HCM, http_filters=[{"name": "x", "typed_config": pack(authz)}]))
    assert route_clusters(services) == ()
    assert [ref.cluster for ref in references(services).checkable()] == ["authz"]


def _upstream(sds_config):
    context = {"tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": sds_config}]}
    config = pack(new(f"{TLS}.UpstreamTlsContext", common_tls_context=context))
    return _cluster(transport_socket={"name": "tls", "typed_config": config})


def _advice(message):
    return [
        (advice.field.rpartition("common_tls_context.")[2], advice.sentence) for advice in references(message).advice
    ]


def test_the_constant_reference_to_a_secret_needs_no_advice():
    source = new(sds.CONFIG_SOURCE)
    source.MergeFromString(sds.sds_source_bytes())
    assert _advice(_upstream(source)) == []
    assert _advice(_upstream(ADS)) == []
    assert references(_upstream(source)).checkable() == ()


@pytest.mark.parametrize("change", ["timeout", "api_type", "name"])
def test_another_form_of_it_does(change):
    source = new(sds.CONFIG_SOURCE)
    source.MergeFromString(sds.sds_source_bytes())
    if change == "timeout":
        source.initial_fetch_timeout.seconds = 3
    elif change == "api_type":
        source.api_config_source.api_type = 2
    else:
        source.api_config_source.grpc_services[0].envoy_grpc.authority = "x"
    ((field, sentence),) = _advice(_upstream(source))
    assert field == "tls_certificate_sds_secret_configs[0].sds_config"
    assert "legation snippet secret NAME" in sentence


def test_waiting_for_ever_for_a_secret_is_worth_a_word():
    ((_, sentence),) = _advice(_upstream({**ADS, "initial_fetch_timeout": {}}))
    assert "no port of that Envoy opens" in sentence


def test_a_client_certificate_that_nobody_checks_is_worth_a_word():
    tls = parsed(f"{TLS}.DownstreamTlsContext", {"require_client_certificate": True})
    ((field, sentence),) = _advice(_listener(new(HCM), tls))
    assert field.endswith("require_client_certificate")
    assert "any client certificate is accepted" in sentence
    tls.common_tls_context.validation_context_sds_secret_config.name = "ROOTCA"
    assert _advice(_listener(new(HCM), tls)) == []
