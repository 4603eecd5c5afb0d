from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from legation.bootstrap import Facts, bootstrap, to_json
from legation.envoy import find_envoy
from xds.names import InvalidSpiffeId

FACTS = Facts(
    node="web",
    node_dir=Path("/nodes/web"),
    trust_domain="demo.legation",
    xds_address="10.0.0.1:18100",
    sds_address="10.0.0.1:18101",
)


def clusters(facts: Facts) -> dict:
    return {cluster["name"]: cluster for cluster in bootstrap(facts)["static_resources"]["clusters"]}


def context(cluster: dict) -> dict:
    return cluster["transport_socket"]["typed_config"]["common_tls_context"]


def walk(value):
    yield value
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(child)


def test_every_grpc_source_is_delta_retries_within_a_second_and_sends_the_node_once():
    sources = [part for part in walk(bootstrap(FACTS)) if isinstance(part, dict) and "grpc_services" in part]
    assert sources
    for source in sources:
        assert source["api_type"] == "DELTA_GRPC"
        assert source["set_node_on_first_message_only"] is True
        back_off = source["grpc_services"][0]["envoy_grpc"]["retry_policy"]["retry_back_off"]
        assert back_off == {"base_interval": "0.25s", "max_interval": "1s"}


@pytest.mark.parametrize(("name", "server"), [("legation_xds", "xds"), ("legation_sds", "ca")])
def test_each_server_is_validated_by_its_own_file_and_by_no_other(name, server):
    """Whose identity that is stands in the file (tests/shell/ca/test_enroll.py)."""
    validation = context(clusters(FACTS)[name])["validation_context_sds_secret_config"]
    assert validation["name"] == f"{server}_validation"
    assert validation["sds_config"]["path_config_source"]["path"] == f"/nodes/web/{server}_validation.json"


@pytest.mark.parametrize("name", ["legation_xds", "legation_sds"])
def test_the_connection_is_tls_1_3_with_keepalive_and_rotating_files(name):
    cluster = clusters(FACTS)[name]
    tls = context(cluster)
    assert set(tls["tls_params"].values()) == {"TLSv1_3"}
    source = tls["tls_certificate_sds_secret_configs"][0]["sds_config"]["path_config_source"]
    assert source == {"path": "/nodes/web/tls_certificate.json", "watched_directory": {"path": "/nodes/web"}}
    options = cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
    keepalive = options["explicit_http_config"]["http2_protocol_options"]["connection_keepalive"]
    assert keepalive == {"interval": "5s", "timeout": "2s"}


def test_a_host_name_is_resolved_and_an_address_is_not():
    assert clusters(FACTS)["legation_xds"]["type"] == "STATIC"
    assert clusters(replace(FACTS, xds_address="control.example.com:1"))["legation_xds"]["type"] == "STRICT_DNS"
    v6 = clusters(replace(FACTS, xds_address="[::1]:1"))["legation_xds"]
    assert v6["type"] == "STATIC"
    assert v6["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] == {
        "address": "::1",
        "port_value": 1,
    }


def test_the_admin_interface_is_off_unless_asked_for_and_then_local():
    assert "admin" not in bootstrap(FACTS)
    admin = bootstrap(replace(FACTS, admin_port=9901))["admin"]
    assert admin == {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9901}}}


def test_a_name_that_no_node_can_have_is_refused():
    with pytest.raises(InvalidSpiffeId):
        bootstrap(replace(FACTS, node="a/b"))


@pytest.mark.envoy
def test_the_real_envoy_accepts_it(tmp_path):
    secret = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    for name in ("tls_certificate", "xds_validation", "ca_validation"):
        kind = name if name == "tls_certificate" else "validation_context"
        document = {"resources": [{"@type": secret, "name": name, kind: {}}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    facts = replace(FACTS, node_dir=tmp_path, admin_port=0)
    path = tmp_path / "bootstrap.json"
    path.write_text(to_json(bootstrap(facts)))
    command = [str(find_envoy()), "--mode", "validate", "-c", str(path), "--log-level", "error"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr
