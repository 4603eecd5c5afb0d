from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from fakes.envoy_messages import all_messages, new
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.internal import api_implementation

from xds import names
from xds.api import descriptors, tables
from xds.api.descriptors import UnknownType, envoy_api
from xds.errors import ConfigError, LocalError

ROOT = Path(__file__).parents[3]


def test_it_hands_out_classes_by_name_and_by_type_url():
    cluster = envoy_api().message("envoy.config.cluster.v3.Cluster")
    assert envoy_api().message_for(names.CLUSTER) is cluster
    made = cluster(name="web", eds_cluster_config={"eds_config": {"ads": {}}})
    assert made.eds_cluster_config.eds_config.HasField("ads")


@pytest.mark.parametrize("url", [url for url in vars(names).values() if str(url).startswith(names.PREFIX + "envoy")])
def test_every_type_of_our_vocabulary_is_there(url):
    assert envoy_api().known(url)


def test_an_unknown_type_is_the_operators_error_and_names_the_api_we_carry():
    assert not envoy_api().known("type.googleapis.com/envoy.no.such.Type")
    with pytest.raises(UnknownType, match=r"'envoy.no.such.Type'.*xds-protos \d") as caught:
        envoy_api().message("envoy.no.such.Type")
    assert isinstance(caught.value, ConfigError)


def test_the_version_is_the_one_that_the_build_is_pinned_to():
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    (pin,) = [line for line in requires if line.startswith("xds-protos")]
    assert envoy_api().version.startswith(pin.replace("==", " "))


def test_it_is_loaded_once():
    assert envoy_api() is envoy_api()


def test_a_slow_protobuf_is_refused(monkeypatch):
    monkeypatch.setattr(api_implementation, "Type", lambda: "python")
    with pytest.raises(LocalError, match="20 times slower"):
        descriptors.envoy_api.__wrapped__()


def test_a_broken_installation_is_named(monkeypatch):
    monkeypatch.setattr(descriptors.importlib.resources, "files", lambda _: Path("/nonexistent"))
    with pytest.raises(LocalError, match=r"lacks xds/_gen/envoy.binpb"):
        descriptors.envoy_api.__wrapped__()


def test_every_type_can_be_made():
    assert len(all_messages()) > 1900
    for descriptor in all_messages():
        new(descriptor.full_name)


def test_every_type_that_a_check_knows_by_name_exists():
    for full_name in tables.WANTED | {tables.ROUTE_CONFIGURATION}:
        assert new(full_name).DESCRIPTOR.full_name == full_name
    for full_name, (field, _) in tables.CLUSTER_FIELDS.items():
        assert field in new(full_name).DESCRIPTOR.fields_by_name
    for full_name, fields in tables.REFUSED_FIELDS.items():
        assert fields <= set(new(full_name).DESCRIPTOR.fields_by_name)


def test_no_map_has_boolean_keys():
    """`config.scalars` reads none."""
    for descriptor in all_messages():
        for field in descriptor.fields:
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                assert field.message_type.fields_by_name["key"].type != FieldDescriptor.TYPE_BOOL
