from __future__ import annotations

import pytest
from google.protobuf import json_format

from xds import resources
from xds.api import sds
from xds.api.descriptors import envoy_api
from xds.resources import snippet


def test_it_prints_yaml(capsys):
    assert snippet.main(["secret", "ROOTCA"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("name: ROOTCA\nsds_config:\n")
    assert "cluster_name: legation_sds" in printed


def test_it_says_what_it_can_print(capsys):
    with pytest.raises(SystemExit):
        snippet.main(["key"])
    assert "secret" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "context"), [("upstream-tls", "UpstreamTlsContext"), ("downstream-tls", "DownstreamTlsContext")]
)
def test_a_transport_socket_is_one_line_that_a_resource_can_hold(kind, context, capsys):
    assert snippet.main([kind, "--peer", "spiffe://td/a", "--peer", "spiffe://td/b"]) == 0
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    message = json_format.Parse(
        line, envoy_api().message("envoy.config.core.v3.TransportSocket")(), descriptor_pool=envoy_api().pool
    )
    assert message.typed_config.type_url.endswith(context)
    typed = envoy_api().message_for(message.typed_config.type_url).FromString(message.typed_config.value)
    common = typed.common_tls_context
    matchers = common.combined_validation_context.default_validation_context.match_typed_subject_alt_names
    assert [matcher.matcher.exact for matcher in matchers] == ["spiffe://td/a", "spiffe://td/b"]
    reference = common.tls_certificate_sds_secret_configs[0]
    assert reference.SerializeToString(deterministic=True) == sds.secret_config_bytes("default")


@pytest.mark.parametrize("arguments", [["secret", "defualt"], ["upstream-tls", "--peer", "api"], ["upstream-tls"]])
def test_what_could_never_work_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as refused:
        snippet.main(arguments)
    assert refused.value.code == 2
    assert capsys.readouterr().out == ""


def test_the_public_names_are_all_there_is():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        resources.nothing  # noqa: B018
