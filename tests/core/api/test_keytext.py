"""The net under the annotated fields: keys in every form that people paste, and what only looks like one."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fakes.envoy_messages import Filler, all_messages, new, pack, parsed
from hypothesis import given
from hypothesis import strategies as st

from xds.api.faults import SensitiveField, UnknownContent
from xds.api.keytext import is_key_file, key_in, suspicious
from xds.api.sensitive import refuse_keys, refuse_sensitive

KEYS = {
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "rsa": rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
FORMS = {
    "pkcs8": (form.PrivateFormat.PKCS8, form.NoEncryption()),
    "traditional": (form.PrivateFormat.TraditionalOpenSSL, form.NoEncryption()),
    "openssh": (form.PrivateFormat.OpenSSH, form.NoEncryption()),
    "encrypted": (form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"pass")),
}


def _texts():
    for kind, key in KEYS.items():
        for name, (private, encryption) in FORMS.items():
            if (kind, name) == ("ed25519", "traditional"):
                continue
            pem = key.private_bytes(form.Encoding.PEM, private, encryption).decode()
            yield f"{kind}-{name}", pem


PEMS = dict(_texts())
CLUSTER = "envoy.config.cluster.v3.Cluster"
TYPES = "type.googleapis.com/"
TLS = TYPES + "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


def _metadata(text):
    return parsed(CLUSTER, {"name": "c", "metadata": {"filter_metadata": {"x": {"k": text}}}})


def _disguises(pem):
    lines = pem.strip().splitlines()
    body = "".join(lines[1:-1])
    yield "as it is", pem
    yield "in small letters", pem.lower()
    yield "escaped", json.dumps(pem)
    yield "one blank more", pem.replace("KEY-----", "KEY -----")
    yield "its body", body
    yield "its body in lines", "\n".join(lines[1:-1])
    yield "its body after a word", f"key:{body}"
    yield "its body for URLs", body.replace("+", "-").replace("/", "_")
    for before in range(3):
        yield f"in base64 after {before}", base64.b64encode(b"#" * before + pem.encode()).decode()
    yield "in Lua", f"local key = [[{pem}]]"


@pytest.mark.parametrize("name", PEMS)
def test_a_key_is_found_in_any_usual_disguise(name):
    for disguise, text in _disguises(PEMS[name]):
        with pytest.raises(SensitiveField, match="private key") as caught:
            refuse_sensitive(_metadata(text))
        assert caught.value.path == "metadata.filter_metadata.x.fields.k.string_value", disguise
        assert text[30:60] not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in PEMS if not name.endswith("openssh")])
def test_a_key_is_found_as_bytes(name):
    der = base64.b64decode("".join(PEMS[name].splitlines()[1:-1]))
    holder = new(
        "envoy.config.core.v3.TypedExtensionConfig", typed_config=pack(new("google.protobuf.BytesValue", value=der))
    )
    with pytest.raises(SensitiveField, match="DER"):
        refuse_sensitive(holder)


def test_what_is_public_passes():
    for key in KEYS.values():
        for encoding in (form.Encoding.PEM, form.Encoding.DER):
            public = key.public_key().public_bytes(encoding, form.PublicFormat.SubjectPublicKeyInfo)
            assert key_in(public) is None
            assert key_in(base64.b64encode(public)) is None
    pkcs1 = KEYS["rsa"].public_key().public_bytes(form.Encoding.DER, form.PublicFormat.PKCS1)
    assert key_in(pkcs1) is None
    assert key_in(base64.b64encode(pkcs1)) is None


def test_a_certificate_passes():
    from fakes.certs import Authority  # noqa: PLC0415 - it makes keys

    pair = Authority().server()
    assert key_in(pair.cert_pem) is None
    assert not suspicious(pair.cert_pem)


@pytest.mark.parametrize(
    "text",
    [
        '{"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b", "d": "abc"}]}',
        '{"d":"abc","kty":"RSA","n":"x"}',
        "{'kty': 'EC', 'd': 'abc'}",
        json.dumps(json.dumps({"kty": "OKP", "d": "abc"})),
        "-----BEGIN PGP " + "PRIVATE" + " KEY BLOCK-----\nxx",
        "---- BEGIN SSH2 ENCRYPTED " + "PRIVATE" + " KEY ----",
        "PuTTY-User-Key-File-3: ecdsa\nPrivate-Lines: 1\nAAA",
        "AGE-SECRET-KEY-1QQQQ",
    ],
)
def test_other_kinds_of_keys(text):
    assert suspicious(text.encode())
    with pytest.raises(SensitiveField, match="private key"):
        refuse_sensitive(_metadata(text))


@pytest.mark.parametrize(
    "text",
    [
        '{"keys": [{"kty": "EC", "crv": "P-256", "x": "a", "y": "b"}]}',
        '{"keys": [{"kty": "EC", "x": "a"}], "more": {"d": "day"}}',
        "there is no private key here; see the private keys of others",
        "-- the PRIVATE KEY is elsewhere -- ",
        "MIT License, MIGRATION and MAIN " * 20,
        base64.b64encode(bytes(range(256)) * 40).decode(),
        "password: see the manual",
        "token",
    ],
)
def test_what_only_looks_like_a_key_passes(text):
    refuse_sensitive(_metadata(text))


@given(st.integers(0, 10_000))
def test_no_serialised_message_is_taken_for_a_key(seed):
    messages = all_messages()
    message = new(messages[seed % len(messages)].full_name)
    Filler(seed, chance=0.2).fill(message, depth=4)
    body = message.SerializeToString()
    assert key_in(body) is None


@given(st.binary(max_size=2000))
def test_any_bytes_get_an_answer(data):
    assert key_in(data) is None or suspicious(data)


INNER = {"common_tls_context": {"tls_certificates": [{"private_key": {"inline_string": "x"}}]}}


def _socket(config):
    return parsed(CLUSTER, {"name": "c", "transport_socket": {"name": "x", "typed_config": config}})


def _google(**more):
    service = {"google_grpc": {"target_uri": "x", "stat_prefix": "s", **more}}
    source = {"api_config_source": {"api_type": "GRPC", "grpc_services": [service]}}
    return parsed(CLUSTER, {"name": "c", "eds_cluster_config": {"eds_config": source}})


def _per_filter(config):
    host = {"name": "v", "domains": ["*"], "typed_per_filter_config": {"x": config}}
    return parsed("envoy.config.route.v3.RouteConfiguration", {"name": "r", "virtual_hosts": [host]})


STRUCT = {"@type": TYPES + "google.protobuf.Struct", "value": INNER}
TYPED = {"@type": TYPES + "xds.type.v3.TypedStruct", "type_url": TYPES + "google.protobuf.Struct", "value": INNER}


@pytest.mark.parametrize(
    ("message", "end"),
    [
        (_socket(STRUCT), "fields.private_key"),
        (_socket(TYPED), "fields.private_key"),
        (_per_filter(STRUCT), "fields.private_key"),
        (_google(config={"private_key": "x"}), "google_grpc.config.fields.private_key"),
        (_google(config={"privateKey": "x"}), "google_grpc.config.fields.privateKey"),
        (_google(config={"secret-key": {"filename": "/x"}}), "google_grpc.config.fields.secret-key"),
        (_google(config={"a": [{"Password": "x"}]}), "struct_value.fields.Password"),
        (_google(config={"session_ticket_keys": {"keys": [{"inlineBytes": "AA"}]}}), "fields.session_ticket_keys"),
        (_google(config={"session_ticket_keys": ["AA"]}), "fields.session_ticket_keys"),
        (_google(config={"kty": "EC", "d": "x"}), "google_grpc.config.fields.d"),
        (_google(config={"filename": "/data/nodes/a/current/key.pem"}), "google_grpc.config.fields.filename"),
        (_google(call_credentials=[{"sts_service": {"subject_token_path": "/x"}}]), "subject_token_path"),
        (_google(call_credentials=[{"sts_service": {"actor_token_path": "/x"}}]), "actor_token_path"),
        (
            _google(channel_args={"args": {"k": {"string_value": PEMS["p256-pkcs8"]}}}),
            "channel_args.args.k.string_value",
        ),
    ],
)
def test_a_secret_under_a_key_of_a_mapping_without_a_type(message, end):
    with pytest.raises(SensitiveField) as caught:
        refuse_sensitive(message)
    assert caught.value.path.endswith(end)


@pytest.mark.parametrize(
    "config",
    [
        {"password_policy": "strict", "secret_keys_rotated": "x", "private_key_path_hint": "x"},
        {"password": True, "private_key": None, "passphrase": "", "secret_key": 5},
        {"client_secret": {"name": "default", "sds_config": {"ads": {}}}},
        {"token": "x", "api_key": "header", "secret": "name of one"},
        {"filename": "/etc/ssl/certs/ca.pem", "d": "x"},
    ],
)
def test_keys_of_mappings_that_hold_no_secret(config):
    refuse_sensitive(_google(config=config))


def test_the_keys_of_a_log_line_are_names():
    def log(value):
        access = {
            "@type": TYPES + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/stdout",
            "log_format": {"json_format": {"password": value}},
        }
        return parsed(
            "envoy.config.listener.v3.Listener", {"name": "l", "access_log": [{"name": "x", "typed_config": access}]}
        )

    refuse_sensitive(log("%REQ(x-password-age)%"))
    with pytest.raises(SensitiveField):
        refuse_sensitive(log(PEMS["p256-pkcs8"]))


@pytest.mark.parametrize(
    "name", ["/data/nodes/a/current/key.pem", "key.pem", "/x/KEY.PEM", "tls.key", "/d/kek", "privkey.pem"]
)
def test_a_data_source_that_names_a_key_file_is_refused(name):
    assert is_key_file(name)
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"filename": name}}}
    host = {"name": "v", "domains": ["*"], "routes": [route]}
    with pytest.raises(SensitiveField, match="if it is none, rename it") as caught:
        refuse_sensitive(parsed("envoy.config.route.v3.RouteConfiguration", {"name": "r", "virtual_hosts": [host]}))
    assert caught.value.path == "virtual_hosts[0].routes[0].direct_response.body.filename"


@pytest.mark.parametrize(
    "name", ["/etc/ssl/certs/ca.pem", "cert.pem", "keys.json", "/key.pem/page.html", "monkey.pem", ""]
)
def test_other_files_may_be_named(name):
    assert not is_key_file(name)


def test_a_typed_struct_has_no_field_that_its_type_lacks():
    value = {"common_tls_context": {}, "brand_new_key": {"inline_string": "canary"}}
    with pytest.raises(UnknownContent, match="or has fields that it lacks in xds-protos") as caught:
        refuse_sensitive(_socket({"@type": TYPES + "xds.type.v3.TypedStruct", "type_url": TLS, "value": value}))
    assert "canary" not in str(caught.value)
    assert "brand_new" not in str(caught.value)


def test_a_word_alone_is_no_finding():
    message = _metadata("the password is not told")
    assert suspicious(message.SerializeToString())
    refuse_keys(message, message.SerializeToString())


@pytest.mark.parametrize("text", [b"-" * 10**6 + b"private" + b" key", b"{kty" + b"\\" * 10**6, b"{" * 10**6 + b"kty"])
def test_text_made_to_hold_us_up_does_not(text):
    assert key_in(text) is None
