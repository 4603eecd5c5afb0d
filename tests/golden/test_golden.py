"""Bytes that must never change by accident. `python tests/golden/test_golden.py` writes them anew, on purpose."""

from __future__ import annotations

import hashlib
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format

from xds import resources as public
from xds.api import sds
from xds.api.canonical import canonical
from xds.api.descriptors import envoy_api
from xds.config.files import parse_file
from xds.config.snapshot import Snapshot
from xds.names import PREFIX
from xds.resources import secret
from xds.resources.snippet import secret as snippet

pytestmark = pytest.mark.filterwarnings("ignore:Using `@model_validator`:DeprecationWarning")
"""Of envoy-data-plane's classes, about pydantic."""

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"
FILE = parse_file("resources.yaml", (HERE / "resources.yaml").read_text())
RESOURCES = FILE.resources

SECRET_CONFIG_DEFAULT = bytes.fromhex(
    "0a0764656661756c74"  # name: default
    "122f"  # sds_config
    "12270803"  # api_config_source, DELTA_GRPC
    "221f0a1d"  # one gRPC service, of Envoy's own client
    "0a0c6c65676174696f6e5f736473"  # cluster_name: legation_sds
    "1a0d0a0b0a051080e59a7712020801"  # retry back-off: 0.25 s, at most 1 s
    "38014002"  # set_node_on_first_message_only, transport V3
    "22020802"  # initial_fetch_timeout: 2 s
    "3002",  # resource API V3
)
"""Frozen for the life of the product: Envoy keys its secret providers by these bytes."""


def _expected():
    return {f"{r.record.type_url}/{r.record.name}": r.record.body.hex() for r in RESOURCES}


def test_there_is_a_dozen_and_they_fit_together():
    assert len(RESOURCES) >= 12
    assert Snapshot.build([FILE]).warnings == ()


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.title)
def test_the_bytes_of_a_resource_are_stable(resource):
    expected = json.loads(EXPECTED.read_text())
    assert resource.record.body.hex() == expected[f"{resource.record.type_url}/{resource.record.name}"]


def test_also_in_another_process_with_another_seed_of_its_hashes():
    script = "import sys; sys.path.insert(0, sys.argv[1]); import test_golden; print(test_golden.digest())"
    found = {
        subprocess.run(
            [sys.executable, "-P", "-c", script, str(HERE)],
            check=True,
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {digest()}


def digest():
    return hashlib.sha256(json.dumps(_expected()).encode()).hexdigest()


def _second_codec(type_url):
    package, _, name = type_url.removeprefix(PREFIX).rpartition(".")
    return getattr(importlib.import_module(f"envoy_data_plane.{package}"), name)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.title)
def test_the_second_codec_reads_the_same(resource):
    record = resource.record
    theirs = _second_codec(record.type_url).parse(record.body)
    full_name = record.type_url.removeprefix(PREFIX)
    assert canonical(full_name, bytes(theirs)).SerializeToString(deterministic=True) == record.body


def test_and_finds_the_values_where_they_were_written():
    # Importing a module registers what `unpack` finds.
    importlib.import_module("envoy_data_plane.envoy.extensions.transport_sockets.tls.v3")
    theirs = _second_codec(RESOURCES[0].record.type_url).parse(RESOURCES[0].record.body)
    assert theirs.name == "eds-mtls"
    assert theirs.connect_timeout.total_seconds() == 0.25
    assert theirs.circuit_breakers.thresholds[0].max_requests == 4294967295
    tls = theirs.transport_socket.typed_config.unpack()
    source = tls.common_tls_context.tls_certificate_sds_secret_configs[0]
    assert source == public.secret_config("default")


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.title)
def test_json_of_protobuf_says_the_same(resource):
    record = resource.record
    pool = envoy_api().pool
    plain = json_format.MessageToDict(
        envoy_api().message_for(record.type_url).FromString(record.body), descriptor_pool=pool
    )
    plain = {"@type": record.type_url, **plain}
    (again,) = parse_file("a.json", json.dumps({"resources": [plain]})).resources
    assert again.record.body == record.body


def test_the_reference_to_a_secret_never_changes():
    assert secret.secret_config_bytes("default") == SECRET_CONFIG_DEFAULT
    assert _settled(bytes(public.secret_config("default"))) == SECRET_CONFIG_DEFAULT


def _settled(body):
    """What becomes of an object of the second codec, which writes fields in another order, when it is published."""
    return canonical(sds.SECRET_CONFIG, body).SerializeToString(deterministic=True)


def test_its_yaml_is_the_snippet_and_means_the_same_in_a_file():
    plain = yaml.safe_load(snippet("default"))
    made = json_format.ParseDict(plain, envoy_api().message(sds.SECRET_CONFIG)(), descriptor_pool=envoy_api().pool)
    assert made.SerializeToString(deterministic=True) == SECRET_CONFIG_DEFAULT
    assert SECRET_CONFIG_DEFAULT in RESOURCES[0].record.body
    (listener,) = [r for r in RESOURCES if r.record.name == "ingress"]
    assert SECRET_CONFIG_DEFAULT in listener.record.body


if __name__ == "__main__":
    EXPECTED.write_text(json.dumps(_expected(), indent=1) + "\n")
