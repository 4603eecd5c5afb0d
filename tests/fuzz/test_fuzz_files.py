"""Any text at all is a file or an error that names it; nothing else comes out, and no secret comes with it."""

from __future__ import annotations

import json

import pytest
import yaml
from fakes.envoy_messages import Filler, new
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xds import names
from xds.api.descriptors import envoy_api
from xds.config.files import ParsedFile, parse_file
from xds.config.problems import FileError
from xds.config.resource import NAME_FIELDS
from xds.config.snapshot import InconsistentSnapshot, Snapshot

CANARY = "canary-31337-secret"
GOOD = f"""\
resources:
- "@type": {names.CLUSTER}
  name: web
  type: EDS
  eds_cluster_config: {{eds_config: {{ads: {{}}}}}}
  transport_socket:
    name: tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
      sni: {CANARY}
      common_tls_context: {{alpn_protocols: [{CANARY}]}}
- "@type": {names.ENDPOINT}
  cluster_name: web
nodes: [{{node_id: "*"}}]
"""


def _parsed(path, text):
    """The file, or None after an error that is as it should be."""
    try:
        return parse_file(path, text)
    except FileError as caught:
        error = caught
    assert error.problems
    assert all(problem.file == path for problem in error.problems)
    assert str(error)
    return None


@pytest.mark.parametrize("path", ["a.yaml", "a.json"])
@given(text=st.text())
def test_any_text(path, text):
    _parsed(path, text)


@pytest.mark.parametrize("path", ["a.yaml", "a.json"])
@given(text=st.text(alphabet="{}[]:,-&*!|>'\"#%@ \n\tab1~<?"))
def test_any_punctuation(path, text):
    _parsed(path, text)


VALUES = st.recursive(
    st.sampled_from(
        [None, True, 0, -1, 1.5, "", "x", "5s", CANARY, "type.googleapis.com/google.protobuf.Any", 10**400]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["@type", "name", "value", "resources", "resource", "typed_config", "nodes", "node_id", "ttl"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=VALUES, type_url=st.sampled_from([*NAME_FIELDS, names.SECRET, "x", 5, None]))
def test_any_structure(value, type_url):
    text = json.dumps({"resources": [value, {"@type": type_url, "name": "x", "cluster_name": "x", "metadata": value}]})
    assert (_parsed("a.json", text) is None) or isinstance(parse_file("a.json", text), ParsedFile)


@given(st.data())
def test_a_file_cut_off_or_changed_anywhere(data):
    """Half-written files: they may still be valid YAML, but never a crash, and never a value in the message."""
    start = data.draw(st.integers(0, len(GOOD)))
    length = data.draw(st.integers(0, 20))
    text = (
        GOOD[:start]
        + data.draw(st.sampled_from(["", "\0", "[", "{", "'", '"', "- ", ": ", "\n", "&a ", "*a", "é"]))
        + GOOD[start + length :]
    )
    try:
        parse_file("a.yaml", text)
    except FileError as error:
        for problem in error.problems:
            # A value that has slid into the place of a key is a key.
            if "has no field" not in problem.message and "has the key" not in problem.message:
                assert CANARY not in problem.message


@pytest.mark.parametrize("cut", range(0, len(GOOD), 7))
def test_every_beginning_of_a_file_is_a_file_or_an_error(cut):
    _parsed("a.yaml", GOOD[:cut])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10_000))
def test_resources_filled_at_random_come_out_as_they_went_in(seed):
    filler = Filler(seed, chance=0.15)
    resources, expected = [], []
    for type_url, name_field in NAME_FIELDS.items():
        message = new(type_url.removeprefix(names.PREFIX))
        filler.fill(message, depth=4)
        setattr(message, name_field, "name")
        plain = json_format.MessageToDict(message, descriptor_pool=envoy_api().pool)
        resources.append({"@type": type_url, **plain})
        expected.append(message)
    for path, text in (
        ("a.json", json.dumps({"resources": resources})),
        ("a.yaml", yaml.dump({"resources": json.loads(json.dumps(resources))}, Dumper=yaml.CSafeDumper)),
    ):
        try:
            file = parse_file(path, text)
        except FileError as error:
            # Random fields set are also sensitive fields, and PyYAML leaves `n` unquoted.
            reasons = ("secret", "key", "unquoted, this is a", "expects a pattern", "holder of keys")
            assert all(any(reason in problem.message for reason in reasons) for problem in error.problems)  # noqa: PT017
            continue
        for resource, message in zip(file.resources, expected, strict=True):
            cls = type(message)
            assert cls.FromString(resource.record.body).SerializeToString(deterministic=True) == resource.record.body
            if path == "a.json":
                assert cls.FromString(resource.record.body) == message
        try:
            Snapshot.build([file])
        except InconsistentSnapshot as error:
            assert error.problems  # noqa: PT017
