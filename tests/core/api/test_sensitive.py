"""No secret passes: one message for each annotated field of the whole API, wrapped in every way that Envoy unwraps."""

from __future__ import annotations

import pytest
from fakes.envoy_messages import all_messages, new, pack, parsed, set_field
from google.protobuf import json_format

from xds.api import tables
from xds.api.descriptors import envoy_api
from xds.api.faults import SensitiveField, UnknownContent
from xds.api.sensitive import refuse_sensitive
from xds.api.walk import walker

CANARY = "canary-31337-secret"
SENSITIVE = [
    (descriptor.full_name, field)
    for descriptor in all_messages()
    for field in sorted(
        walker().sensitive_fields(descriptor) | tables.REFUSED_FIELDS.get(descriptor.full_name, frozenset()),
    )
]


def _holder(full_name, field):
    message = new(full_name)
    set_field(message, message.DESCRIPTOR.fields_by_name[field], CANARY)
    return message


def _cluster(config):
    return new(
        "envoy.config.cluster.v3.Cluster",
        name="web",
        transport_socket={"name": "x", "typed_config": config},
    )


def _nested(message):
    """In an extension of a filter of a chain of a listener, four levels of `Any` deep."""
    extension = new("envoy.config.core.v3.TypedExtensionConfig", name="x", typed_config=pack(message))
    wrapped = new("envoy.config.core.v3.TypedExtensionConfig", name="x", typed_config=pack(extension))
    hcm = new(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        http_filters=[{"name": "x", "typed_config": pack(wrapped)}],
    )
    chain = {"filters": [{"name": "x", "typed_config": pack(hcm)}]}
    return new("envoy.config.listener.v3.Listener", name="in", filter_chains=[{}, chain])


def _struct(full_name, message):
    """The message as Envoy's `TypedStruct`, which is a message and its JSON."""
    plain = json_format.MessageToDict(message, descriptor_pool=envoy_api().pool)
    struct = new(full_name, type_url="type.googleapis.com/" + message.DESCRIPTOR.full_name)
    json_format.ParseDict(plain, struct.value)
    return _cluster(pack(struct))


WRAPPINGS = {
    "any": lambda message: _cluster(pack(message)),
    "nested": _nested,
    "xds.TypedStruct": lambda message: _struct("xds.type.v3.TypedStruct", message),
    "udpa.TypedStruct": lambda message: _struct("udpa.type.v1.TypedStruct", message),
    "map": lambda message: new(
        "envoy.config.cluster.v3.Cluster",
        name="web",
        typed_extension_protocol_options={"a.b": pack(new("google.protobuf.Duration")), "c.d": pack(message)},
    ),
    "endpoint": lambda message: new(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        cluster_name="web",
        endpoints=[{"lb_endpoints": [{"metadata": {"typed_filter_metadata": {"k": pack(message)}}}]}],
    ),
}


def test_the_api_that_we_carry_is_whole():
    """What Envoy takes inside an `Any`, and no file of `envoy/` imports: the build must dump these roots as well."""
    for full_name in ("xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct", "xds.type.matcher.v3.CelMatcher"):
        assert envoy_api().known(f"type.googleapis.com/{full_name}")


def test_the_api_has_annotated_fields_at_all():
    assert len(SENSITIVE) > 40
    assert ("envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "private_key") in SENSITIVE
    assert ("envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys", "keys") in SENSITIVE


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize(("full_name", "field"), SENSITIVE, ids=lambda value: value.removeprefix("envoy."))
def test_every_sensitive_field_is_refused_with_its_path_and_without_its_value(full_name, field, wrapping):
    resource = WRAPPINGS[wrapping](_holder(full_name, field))
    with pytest.raises(SensitiveField) as caught:
        refuse_sensitive(resource)
    error = caught.value
    # A message that is refused as a whole names itself, not the field inside.
    assert error.path.endswith(f".{field}") or full_name in tables.REFUSED_MESSAGES
    assert error.path.startswith(
        ("transport_socket.typed", "filter_chains[1].filters[0].typed", "typed_ext", "endpoints[0]")
    )
    shown = f"{error} {error!r} {error.args} {vars(error)}"
    assert CANARY not in shown
    assert "SDS" in error.reason


@pytest.mark.parametrize("full_name", sorted(tables.REFUSED_MESSAGES))
@pytest.mark.parametrize("wrapping", ["any", "nested"])
def test_messages_that_exist_for_keys_are_refused_even_when_empty(full_name, wrapping):
    with pytest.raises(SensitiveField):
        refuse_sensitive(WRAPPINGS[wrapping](new(full_name)))


TLS = "envoy.extensions.transport_sockets.tls.v3"


@pytest.mark.parametrize(
    ("context", "path"),
    [
        ({"tls_certificates": [{}, {"private_key": {"inline_string": CANARY}}]}, "tls_certificates[1].private_key"),
        ({"tls_certificates": [{"private_key": {"filename": CANARY}}]}, "tls_certificates[0].private_key"),
        ({"tls_certificates": [{"private_key": {"environment_variable": CANARY}}]}, "tls_certificates[0].private_key"),
        ({"tls_certificates": [{"private_key": {"inline_bytes": CANARY.encode()}}]}, "tls_certificates[0].private_key"),
        ({"tls_certificates": [{"private_key": {}}]}, "tls_certificates[0].private_key"),
        ({"tls_certificates": [{"pkcs12": {"filename": CANARY}}]}, "tls_certificates[0].pkcs12"),
        (
            {"tls_certificates": [{"private_key_provider": {"provider_name": CANARY}}]},
            "tls_certificates[0].private_key_provider",
        ),
        ({"key_log": {"path": CANARY}}, "key_log"),
    ],
)
@pytest.mark.parametrize("side", ["Upstream", "Downstream"])
def test_the_positions_of_a_key_in_a_tls_context(side, context, path):
    tls = new(f"{TLS}.{side}TlsContext", common_tls_context=context)
    with pytest.raises(SensitiveField) as caught:
        refuse_sensitive(_cluster(pack(tls)))
    assert caught.value.path == f"transport_socket.typed_config.common_tls_context.{path}"
    assert CANARY not in str(caught.value)


PEM = "-----BEGIN EC PRIVATE" + " KEY-----\nMHcC" + CANARY


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (_cluster(pack(new(f"{TLS}.UpstreamTlsContext", sni=PEM))), "transport_socket.typed_config.sni"),
        (
            parsed("envoy.config.cluster.v3.Cluster", {"metadata": {"filter_metadata": {"a": {"k": [1, {"x": PEM}]}}}}),
            "metadata.filter_metadata.a.fields.k.list_value.values[1].struct_value.fields.x.string_value",
        ),
        (
            new(
                "envoy.config.core.v3.TypedExtensionConfig",
                typed_config=pack(new("google.protobuf.BytesValue", value=PEM.encode())),
            ),
            "typed_config.value",
        ),
        (new("envoy.config.core.v3.Metadata", filter_metadata={PEM: {}}), "filter_metadata.key of a map"),
    ],
)
def test_the_text_of_a_key_is_refused_wherever_it_stands(message, path):
    with pytest.raises(SensitiveField) as caught:
        refuse_sensitive(message)
    assert caught.value.path == path
    assert CANARY not in str(caught.value)


def test_a_type_that_we_do_not_know_is_refused():
    secret = new("google.protobuf.Any", type_url="type.googleapis.com/acme.v1.Filter", value=b"\x0a\x03abc")
    with pytest.raises(
        UnknownContent, match=r"transport_socket.typed_config: unknown type 'acme.v1.Filter'.*xds-protos"
    ):
        refuse_sensitive(_cluster(secret))


@pytest.mark.parametrize("full_name", ["xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct"])
def test_a_typed_struct_is_judged_by_the_type_that_it_names(full_name):
    unknown = parsed(full_name, {"type_url": "type.googleapis.com/acme.v1.Filter", "value": {"a": "b"}})
    with pytest.raises(UnknownContent, match=r"'acme.v1.Filter'"):
        refuse_sensitive(_cluster(pack(unknown)))
    wrong = parsed(full_name, {"type_url": f"type.googleapis.com/{TLS}.UpstreamTlsContext", "value": {"sni": [CANARY]}})
    with pytest.raises(UnknownContent, match=r"typed_config.value: is no valid .*UpstreamTlsContext") as caught:
        refuse_sensitive(_cluster(pack(wrong)))
    assert CANARY not in str(caught.value)


def test_bytes_that_are_not_the_type_they_claim_to_be_are_refused():
    broken = new("google.protobuf.Any", type_url=f"type.googleapis.com/{TLS}.UpstreamTlsContext", value=b"\x0a\xffabc")
    with pytest.raises(UnknownContent, match="is no valid"):
        refuse_sensitive(_cluster(broken))


def test_an_any_inside_an_any_inside_an_any_ends():
    message = new("google.protobuf.Duration")
    for _ in range(150):
        message = new("envoy.config.core.v3.TypedExtensionConfig", typed_config=pack(message))
    with pytest.raises(UnknownContent, match="nested more than 100 deep"):
        refuse_sensitive(message)


HARMLESS = [
    _cluster(
        pack(
            new(
                f"{TLS}.UpstreamTlsContext",
                sni="web",
                common_tls_context={
                    "tls_certificate_sds_secret_configs": [{"name": "default", "sds_config": {"ads": {}}}],
                    "validation_context": {"trusted_ca": {"filename": "/etc/ssl/certs/ca-certificates.crt"}},
                    "tls_certificates": [{"certificate_chain": {"inline_string": "-----BEGIN CERTIFICATE-----"}}],
                },
            ),
        ),
    ),
    _nested(new("envoy.extensions.filters.http.router.v3.Router")),
    _nested(
        new(
            "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            providers={"p": {"local_jwks": {"inline_string": "{}"}}},
        ),
    ),
    _nested(new("envoy.extensions.filters.http.rbac.v3.RBAC", rules={"policies": {"p": {}}})),
    _nested(
        new("envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", grpc_service={"envoy_grpc": {"cluster_name": "a"}})
    ),
    _struct("xds.type.v3.TypedStruct", new("envoy.extensions.filters.http.router.v3.Router")),
    _struct("udpa.type.v1.TypedStruct", new(f"{TLS}.UpstreamTlsContext", sni="web")),
    new("envoy.config.core.v3.TypedExtensionConfig", name="x", typed_config={}),
    new("envoy.config.endpoint.v3.ClusterLoadAssignment", cluster_name="web"),
]


@pytest.mark.parametrize("message", HARMLESS, ids=lambda message: message.DESCRIPTOR.name)
def test_what_holds_no_secret_passes(message):
    refuse_sensitive(message)


def test_every_type_of_the_api_passes_when_empty_unless_it_exists_for_keys():
    for descriptor in all_messages():
        message = new(descriptor.full_name)
        if descriptor.full_name in tables.REFUSED_MESSAGES:
            with pytest.raises(SensitiveField):
                refuse_sensitive(message)
        elif not descriptor.full_name.endswith(".TypedStruct"):
            refuse_sensitive(message)


def test_every_annotated_field_is_found_wherever_its_message_can_stand():
    """Each field that can hold such a message, at any depth: what the walk leaves out must not hold any."""
    dangerous = {full_name for full_name, _ in SENSITIVE} | set(tables.REFUSED_MESSAGES)
    missed = []
    for descriptor in all_messages():
        for field in descriptor.fields:
            inner = field.message_type
            if inner is None or inner.full_name not in dangerous or inner.GetOptions().map_entry:
                continue
            outer = new(descriptor.full_name)
            target = getattr(outer, field.name)
            target = target.add() if field.is_repeated else target
            refused = next((f for n, f in SENSITIVE if n == inner.full_name), None)
            target.SetInParent()
            if refused is not None:
                set_field(target, inner.fields_by_name[refused], CANARY)
            try:
                refuse_sensitive(outer)
            except SensitiveField:
                continue
            missed.append(field.full_name)
    assert missed == []
