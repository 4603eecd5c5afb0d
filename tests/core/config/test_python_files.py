"""Resources in Python: the child really runs, and what it prints is read as foreign bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap

import pytest
from fakes.envoy_messages import new
from hypothesis import given
from hypothesis import strategies as st

from xds import names
from xds.config.files import parse_file
from xds.config.problems import FileError
from xds.config.python_files import decode
from xds.resources import evaluate

pytestmark = pytest.mark.filterwarnings("ignore:Using `@model_validator`:DeprecationWarning")
"""Of envoy-data-plane's classes, about pydantic."""

HEAD = """\
from envoy_data_plane.envoy.config.cluster.v3 import Cluster, ClusterDiscoveryType, ClusterEdsClusterConfig
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from xds.resources import ads_config, secret_config
"""


def _run(tmp_path, text):
    file = tmp_path / "web.py"
    file.write_text(HEAD + textwrap.dedent(text))
    return subprocess.run(
        [sys.executable, "-P", "-m", "xds.resources.evaluate", str(file)],
        check=False,
        capture_output=True,
        timeout=60,
    )


def _decoded(tmp_path, text):
    return decode("web.py", _run(tmp_path, text).stdout)


def _error(tmp_path, text):
    """Evaluated in this process, which is quicker, and all that the child does but for its pipes."""
    file = tmp_path / "web.py"
    file.write_text(HEAD + textwrap.dedent(text))
    with pytest.raises(FileError) as caught:
        decode("web.py", evaluate.output(file))
    (problem,) = caught.value.problems
    return problem


def test_typed_objects_become_the_same_resources_as_files(tmp_path):
    file = _decoded(
        tmp_path,
        """
        web = Cluster(
            name="web",
            type=ClusterDiscoveryType.EDS,
            eds_cluster_config=ClusterEdsClusterConfig(eds_config=ads_config()),
        )
        nodes = {"node_id": "web-*"}
        resources = [
            web,
            ClusterLoadAssignment(cluster_name="web"),
        ]
        """,
    )
    text = f"""
resources:
- "@type": {names.CLUSTER}
  name: web
  type: EDS
  eds_cluster_config: {{eds_config: {{ads: {{}}, resource_api_version: V3}}}}
- "@type": {names.ENDPOINT}
  cluster_name: web
nodes: {{node_id: web-*}}
"""
    as_yaml = parse_file("web.yaml", text)
    assert [r.record for r in file.resources] == [r.record for r in as_yaml.resources]
    assert [r.record.body for r in file.resources] == [r.record.body for r in as_yaml.resources]
    assert file.selectors == as_yaml.selectors
    assert [r.record.source for r in file.resources] == ["web.py:5", "web.py:13"]
    assert file.resources[0].record.children == ((names.ENDPOINT, "web"),)


def test_a_function_prints_threads_and_an_own_module(tmp_path):
    (tmp_path / "_names.py").write_text("NAMES = ['a', 'b']\n")
    result = _run(
        tmp_path,
        """
        import os, sys, threading, time
        from _names import NAMES
        print("a print does not harm")
        os.write(1, b"nor does this")
        threading.Thread(target=time.sleep, args=(600,)).start()
        def resources():
            yield from (ClusterLoadAssignment(cluster_name=name) for name in NAMES)
        """,
    )
    assert result.returncode == 0
    assert b"does not harm" in result.stderr
    assert b"nor does this" in result.stderr
    file = decode("web.py", result.stdout)
    assert [(r.record.name, r.line) for r in file.resources] == [("a", 10), ("b", 10)]
    assert file.selectors == ()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("resources = [Cluster(name='a')\n", 4, "is not Python: '[' was never closed"),
        ("\n\nresources = 1 / 0\n", 6, "ZeroDivisionError: division by zero"),
        ("def f():\n    raise KeyError('x')\nresources = [f()]\n", 5, "KeyError: 'x'"),
        ("import sys\nsys.exit(3)\n", 5, "ended the process"),
        ("raise SystemExit\n", 4, "ended the process"),
        ("raise KeyboardInterrupt\n", 4, "KeyboardInterrupt"),
        ("x = 1\n", 0, "defines no `resources`"),
        ("\nresources = 5\n", 5, "is no list of envoy-data-plane objects"),
        ("resources = {'a': 1}\n", 4, "is no list of envoy-data-plane objects"),
        (
            "resources = [\n  Cluster(name='a'),\n  'text',\n]\n",
            6,
            "resources[1] is a str, not an object of envoy_data_plane",
        ),
        ("def resources():\n    return [x]\n", 5, "NameError: name 'x' is not defined"),
        ("resources = []\nnodes = object()\n", 0, "`nodes` must be made of dicts"),
        ("resources = []\nnodes = {'node': 'x'}\n", 0, "is no attribute of a node"),
        ("import nothing_of_the_kind\n", 4, "ModuleNotFoundError"),
        ("resources = [Cluster(name=5)]\n", 4, "ValidationError"),
        ("resources = [Cluster()]\n", 4, "is missing: a resource is subscribed to by its name"),
        ("a = Cluster(name='x')\nresources = [a, a]\n", 4, "stands here twice; the first is at web.py:4"),
        ("resources = [ads_config()]\n", 4, "is not a type that Envoy subscribes to"),
        ("\0", 0, "is not Python"),
    ],
)
def test_a_mistake_names_its_line(tmp_path, text, line, message):
    problem = _error(tmp_path, text)
    assert message in problem.message
    assert (problem.file, problem.line) == ("web.py", line)


def test_a_file_that_cannot_be_read(tmp_path):
    command = [sys.executable, "-P", "-m", "xds.resources.evaluate"]
    gone = subprocess.run([*command, str(tmp_path / "gone.py")], check=True, capture_output=True)
    with pytest.raises(FileError, match="cannot be read: No such file"):
        decode("gone.py", gone.stdout)
    assert subprocess.run(command, check=False, capture_output=True).returncode == 2


def test_a_key_in_python_is_refused_by_path_and_not_by_value(tmp_path):
    problem = _error(
        tmp_path,
        """
        from envoy_data_plane.envoy.config.core.v3 import DataSource, TransportSocket
        from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
            CommonTlsContext, TlsCertificate, UpstreamTlsContext,
        )
        from envoy_data_plane.google.protobuf import Any
        pair = TlsCertificate(private_key=DataSource(inline_string="canary-secret"))
        tls = UpstreamTlsContext(common_tls_context=CommonTlsContext(tls_certificates=[pair]))
        resources = [Cluster(name="web", transport_socket=TransportSocket(name="tls", typed_config=Any.pack(tls)))]
        """,
    )
    assert problem.field == "transport_socket.typed_config.common_tls_context.tls_certificates[0].private_key"
    assert problem.line == 12
    assert "canary" not in str(problem)


KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5T56OPHKFxOThMgx"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"raise ValueError('-----BEGIN PRIVATE' ' KEY-----\\n{KEY}')", "ValueError: (withheld: it may be a key)"),
        (f"raise KeyError('{KEY}')", "KeyError: (withheld: it may be a key)"),
        (f"class {KEY}(Exception): pass\nraise {KEY}('why')", "an exception: why"),
        (f"class {KEY}: pass\nresources = [{KEY}()]", "(withheld: it may be a key)"),
        ("raise ValueError", "ValueError"),
        (
            "raise ValueError('\\x1b]0;x\\x07\\nFAKE 12:00 INFO ' + 'word ' * 100)",
            "ValueError: \\x1b]0;x\\x07 FAKE 12:00 INFO",
        ),
        ("class Bad(Exception):\n    def __str__(self): raise self\nraise Bad", "Bad"),
        (f"resources = [Cluster(name=5, connect_timeout='{KEY[:30]}')]", "ValidationError: "),
    ],
)
def test_the_text_of_an_exception_is_shown_if_it_cannot_be_a_key(tmp_path, text, message):
    problem = _error(tmp_path, text)
    assert problem.message.startswith(message)
    assert KEY[:20] not in str(problem)
    assert problem.line >= 4
    assert len(problem.message) < 300
    assert problem.message.isprintable()


def test_the_child_s_word_for_an_exception_is_foreign_too():
    for kind in (5, KEY, "two words", "x" * 100):
        with pytest.raises(FileError) as caught:
            decode("web.py", _frames({"error": {"message": "why", "kind": kind}}))
        assert str(caught.value) in {"web.py: why", "web.py: an exception: why"}


def _frames(header, *bodies):
    payloads = [json.dumps(header).encode() if not isinstance(header, bytes) else header, *bodies]
    return b"".join(len(payload).to_bytes(4) + payload for payload in payloads)


def _entry(type_url=names.CLUSTER, name="x", line=3):
    return {"type_url": type_url, "name": name, "line": line}


CLUSTER = new("envoy.config.cluster.v3.Cluster", name="web").SerializeToString()


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"\0",
        b"Traceback (most recent call last)",
        _frames(b"{"),
        _frames(b"\xff"),
        _frames(b"[" * 100_000),
        _frames([]),
        _frames({}),
        _frames({"resources": {}}),
        _frames({"resources": [5]}),
        _frames({"resources": [{"type_url": 5, "name": "x", "line": 1}]}),
        _frames({"resources": [_entry()]}),
        _frames({"resources": []}, b""),
        _frames({"error": "x"}),
        _frames({"error": {"message": 5}}),
        _frames({"error": {"message": "x", "line": "1"}}),
        _frames({"resources": [_entry()]}, CLUSTER)[:-1],
    ],
)
def test_foreign_bytes_are_an_error_and_nothing_else(output):
    with pytest.raises(FileError, match=r"web\.py: was evaluated, but what came of it cannot be read"):
        decode("web.py", output)


@pytest.mark.parametrize(
    ("entry", "body", "message"),
    [
        (_entry(), b"\xff", "is no valid envoy.config.cluster.v3.Cluster"),
        (_entry(), CLUSTER + b"\xf2\xff\x07\x03abc", "has fields that envoy.config.cluster.v3.Cluster lacks"),
        (_entry("type.googleapis.com/acme.Type"), b"", "is not a type that Envoy subscribes to"),
        (_entry(names.SECRET), b"", "a Secret does not belong here"),
    ],
)
def test_a_body_that_cannot_be_published_names_its_resource(entry, body, message):
    with pytest.raises(FileError) as caught:
        decode("web.py", _frames({"resources": [entry]}, body))
    assert message in str(caught.value)
    assert caught.value.line == 3
    assert caught.value.resource.endswith('"x"')


def test_no_type_is_known_that_cannot_be_subscribed_to(monkeypatch):
    monkeypatch.setattr("xds.config.resource.NAME_FIELDS", {"type.googleapis.com/acme.Type": "name"})
    with pytest.raises(FileError, match=r"unknown type 'acme.Type'"):
        decode("web.py", _frames({"resources": [_entry("type.googleapis.com/acme.Type")]}, b""))


@given(st.binary(max_size=200))
def test_any_bytes_at_all(output):
    with pytest.raises(FileError):
        decode("web.py", output)
