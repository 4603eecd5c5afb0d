"""Proto3 JSON to messages, held against protobuf's own reader for every type of the API."""

from __future__ import annotations

import json

import pytest
import yaml
from fakes.envoy_messages import Filler, all_messages, new
from google.protobuf import json_format

from xds.api.descriptors import envoy_api
from xds.config.decode import decoder
from xds.config.yaml_text import YamlDocument


def _plain(message, *, camel):
    plain = json_format.MessageToDict(
        message,
        preserving_proto_field_name=not camel,
        descriptor_pool=envoy_api().pool,
    )
    return json.loads(json.dumps(plain).replace(".0", ""))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_type_of_the_api_reads_back_what_protobuf_writes(seed):
    filler = Filler(seed, chance=0.3)
    for descriptor in all_messages():
        message = envoy_api().message(descriptor.full_name)()
        filler.fill(message)
        back = type(message)()
        complaints = decoder().decode(_plain(message, camel=seed == 1), back)
        assert complaints == [], descriptor.full_name
        assert back == message, descriptor.full_name


def test_every_type_of_the_api_reads_back_through_yaml():
    filler = Filler(3, chance=0.25)
    for descriptor in all_messages():
        message = envoy_api().message(descriptor.full_name)()
        filler.fill(message, depth=2)
        text = yaml.dump(_plain(message, camel=False), Dumper=yaml.CSafeDumper, allow_unicode=True)
        # PyYAML leaves `n` and `y` without quotes, which Envoy and we read as booleans.
        text = text.replace(": n\n", ": 'n'\n").replace("- n\n", "- 'n'\n")
        back = type(message)()
        assert decoder().decode(YamlDocument(text).value, back) == [], descriptor.full_name
        assert back == message, (descriptor.full_name, text)


VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    1.0,
    1.5,
    "",
    "1",
    "-1",
    "1.0",
    "1.5",
    "1e2",
    " 1",
    "1_0",
    "true",
    "text",
    "NaN",
    "Infinity",
    "-Infinity",
    "nan",
    "5s",
    "5",
    "aGk=",
    "aGk",
    "_-8=",
    "a\ud800",
    "2026-01-31T12:00:00Z",
    "someField,other",
    2**31,
    2**32,
    2**63,
    2**64,
    -(2**63),
    str(2**64 - 1),
    str(2**64),
    1e39,
    1e300,
    10**400,
    [],
    [1],
    ["a"],
    [None],
    {},
    {"a": 1},
    {"1": 1},
    {"true": "x"},
    {"@type": 5},
    {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "5s"},
    {"@type": "google.protobuf.Duration", "value": "5s"},
    "EDS",
    "eds",
]

QUIRKS = [
    "1_0",  # Python's int() takes it, and JSON has no such number
    " 1",
    True,  # a boolean is no number
    False,
    "",  # nor is an empty text or list a message
    [],
    "2026-01-31T12:00:00Z",  # nor is this base64
    {"@type": "google.protobuf.Duration", "value": "5s"},  # Envoy demands the prefix
]
"""What json_format takes in some field and we refuse there, as Envoy does."""


def _is_quirk(value, field):
    if field == "type":  # of the numbers, only those that the enum has: another one is a mistake
        return type(value) in {int, float, bool} or str(value).lstrip("-").isdigit() or value in QUIRKS
    return any(value == quirk and type(value) is type(quirk) for quirk in QUIRKS)


FIELDS = [
    ("envoy.config.cluster.v3.Cluster", "name"),
    ("envoy.config.cluster.v3.Cluster", "type"),
    ("envoy.config.cluster.v3.Cluster", "connect_timeout"),
    ("envoy.config.cluster.v3.Cluster", "ignore_health_on_host_removal"),
    ("envoy.config.cluster.v3.Cluster", "per_connection_buffer_limit_bytes"),
    ("envoy.config.cluster.v3.Cluster", "typed_extension_protocol_options"),
    ("envoy.config.cluster.v3.Cluster", "metadata"),
    ("envoy.config.endpoint.v3.LocalityLbEndpoints", "priority"),
    ("envoy.config.endpoint.v3.ClusterLoadAssignment", "endpoints"),
    ("envoy.config.core.v3.DataSource", "inline_bytes"),
    ("envoy.config.core.v3.DataSource", "inline_string"),
    ("envoy.config.core.v3.Metadata", "filter_metadata"),
    ("envoy.config.core.v3.TypedExtensionConfig", "typed_config"),
    ("envoy.config.core.v3.RuntimeDouble", "default_value"),
    ("envoy.type.v3.Percent", "value"),
    ("envoy.type.v3.Int64Range", "start"),
    ("envoy.config.core.v3.ApiConfigSource", "cluster_names"),
    ("google.protobuf.Value", "number_value"),
    ("google.protobuf.Timestamp", ""),
    ("google.protobuf.Duration", ""),
    ("google.protobuf.FloatValue", ""),
    ("google.protobuf.UInt64Value", ""),
    ("google.protobuf.BoolValue", ""),
    ("google.protobuf.BytesValue", ""),
    ("google.protobuf.Struct", ""),
    ("google.protobuf.Value", ""),
    ("google.protobuf.ListValue", ""),
    ("google.protobuf.Any", ""),
]


@pytest.mark.parametrize(("full_name", "field"), FIELDS)
def test_it_takes_and_refuses_what_protobuf_takes_and_refuses(full_name, field):
    differences = []
    for value in VALUES:
        plain = {field: value} if field else value
        theirs, ours = new(full_name), new(full_name)
        try:
            json_format.ParseDict(plain, theirs, descriptor_pool=envoy_api().pool)
        except (json_format.ParseError, SystemError, TypeError, ValueError, AttributeError, OverflowError, KeyError):
            theirs = None
        if decoder().decode(plain, ours):
            ours = None
            if _is_quirk(value, field):
                continue
        # Compared as bytes: NaN is not equal to itself.
        as_bytes = [m and m.SerializeToString(deterministic=True) for m in (theirs, ours)]
        if as_bytes[0] != as_bytes[1]:
            differences.append((value, as_bytes))
    assert differences == []


def _complaints(full_name, plain):
    return [
        (complaint.field, complaint.reason, complaint.at_key) for complaint in decoder().decode(plain, new(full_name))
    ]


def test_what_is_nested_too_deep_is_refused():
    plain = {}
    for _ in range(150):
        plain = {"and_rules": {"rules": [plain]}}
    ((field, reason, _),) = _complaints("envoy.config.rbac.v3.Permission", plain)
    assert reason == "is nested more than 100 deep"
    assert field.startswith("and_rules.rules[0].and_rules")


@pytest.mark.parametrize(
    ("full_name", "plain", "complaint"),
    [
        (
            "envoy.config.core.v3.Metadata",
            {"filter_metadata": {"a\ud800": {}}},
            (
                "filter_metadata.'a\\ud800'",
                "as a key expects text that is valid Unicode; this has half of a surrogate pair",
                True,
            ),
        ),
        (
            "google.protobuf.Struct",
            {"a\ud800": 1},
            ("'a\\ud800'", "as a key expects text that is valid Unicode; this has half of a surrogate pair", True),
        ),
        ("google.protobuf.Struct", {"a": 10**400}, ("a", "expects a number", False)),
        (
            "google.api.expr.v1alpha1.SourceInfo",
            {"positions": {"1": "x"}},
            ("positions.1", "expects a whole number of 32 bits", False),
        ),
        (
            "google.api.expr.v1alpha1.SourceInfo",
            {"positions": {"one": 1}},
            ("positions.one", "as a key expects a whole number of 64 bits", True),
        ),
        ("google.api.expr.v1alpha1.Constant", {"null_value": 5}, ("null_value", "expects null", False)),
        (
            "google.api.expr.v1alpha1.Constant",
            {"bool_value": "true"},
            ("bool_value", "expects true or false, without quotes", False),
        ),
        (
            "envoy.config.core.v3.TypedExtensionConfig",
            {"typed_config": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1s", "more": 1}},
            ("typed_config", 'expects only "@type" and "value" for this type', False),
        ),
        (
            "envoy.config.core.v3.TypedExtensionConfig",
            {"typed_config": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": 1}},
            ("typed_config.value", "expects a duration in seconds, such as 5s or 0.25s", False),
        ),
    ],
)
def test_complaints_in_the_corners(full_name, plain, complaint):
    assert _complaints(full_name, plain) == [complaint]
