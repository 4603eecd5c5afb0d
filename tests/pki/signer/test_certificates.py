"""What comes out: identity 1A and 1B, looked at with other tools than those that made it."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fakes.ca_authority import START, Wall, csr, pem, setting, start

from ca.errors import Code, RefusedError
from ca.identity.chain import verify_chain

LEAF_EXTENSIONS = {
    "subjectAltName": True,
    "basicConstraints": True,
    "keyUsage": True,
    "extendedKeyUsage": False,
    "subjectKeyIdentifier": False,
    "authorityKeyIdentifier": False,
}


def extensions(certificate):
    return {extension.oid._name: extension.critical for extension in certificate.extensions}


def value(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind).value


def usages(certificate):
    usage = value(certificate, x509.KeyUsage)
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    )
    return {name for name in names.split() if getattr(usage, name)}


def uris(certificate):
    return value(certificate, x509.SubjectAlternativeName).get_values_for_type(x509.UniformResourceIdentifier)


@pytest.fixture
def leaf(signer):
    return signer.leaf().certificate


def test_1_a_leaf_has_one_uri_name_and_it_is_the_spiffe_id(leaf):
    assert [name.value for name in value(leaf, x509.SubjectAlternativeName)] == ["spiffe://example.org/web"]


def test_2_dns_names_come_from_the_request_of_the_caller_and_not_from_the_csr(signer):
    greedy = x509.SubjectAlternativeName(
        [
            x509.DNSName("evil.example"),
            x509.UniformResourceIdentifier("spiffe://example.org/admin"),
            x509.RFC822Name("a@b.c"),
        ]
    )
    certificate = signer.leaf(
        csr_der=csr(subject="evil", extensions=[greedy, x509.BasicConstraints(ca=True, path_length=None)]),
        dns_names=("web.internal",),
    ).certificate
    names = value(certificate, x509.SubjectAlternativeName)
    assert [name.value for name in names] == ["spiffe://example.org/web", "web.internal"]
    assert value(certificate, x509.BasicConstraints).ca is False


def test_5_6_7_constraints_and_usages(leaf):
    assert value(leaf, x509.BasicConstraints) == x509.BasicConstraints(ca=False, path_length=None)
    assert usages(leaf) == {"digital_signature"}
    assert {purpose._name for purpose in value(leaf, x509.ExtendedKeyUsage)} == {"serverAuth", "clientAuth"}


def test_6_an_rsa_leaf_has_the_same_usage(signer):
    certificate = signer.leaf(csr_der=csr(rsa.generate_private_key(65537, 2048))).certificate
    assert usages(certificate) == {"digital_signature"}


def test_8_15_the_extension_set_is_exact_and_the_empty_subject_makes_names_critical(leaf):
    assert extensions(leaf) == LEAF_EXTENSIONS
    assert len(list(leaf.subject)) == 0


def test_9_serials_are_long_positive_and_distinct(signer):
    serials = [signer.leaf().certificate.serial_number for _ in range(50)]
    assert len(set(serials)) == 50
    assert all(0 < serial < 2**159 for serial in serials)
    assert min(serial.bit_length() for serial in serials) > 64 + 64


def test_10_21_key_identifiers(signer, leaf):
    issuer = signer.authority.issuer.certificate
    root = signer.authority.bundle.roots[0]
    point = leaf.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    assert value(leaf, x509.SubjectKeyIdentifier).digest == hashlib.sha1(point, usedforsecurity=False).digest()
    assert value(leaf, x509.AuthorityKeyIdentifier).key_identifier == value(issuer, x509.SubjectKeyIdentifier).digest
    assert value(issuer, x509.AuthorityKeyIdentifier).key_identifier == value(root, x509.SubjectKeyIdentifier).digest
    assert leaf.issuer == issuer.subject


def test_11_times_begin_before_and_end_when_ordered(signer, leaf):
    second = START.replace(microsecond=0)
    assert leaf.not_valid_before_utc == second - timedelta(seconds=60)
    signer.wall.advance(minutes=5)
    issued = signer.leaf(ttl_s=1200)
    now = second + timedelta(minutes=5)
    assert issued.certificate.not_valid_before_utc == now - timedelta(seconds=60)
    assert issued.certificate.not_valid_after_utc == now + timedelta(seconds=1200)
    assert issued.intent.window.issued_at == now
    assert not issued.intent.window.truncated


def test_11_83_nothing_outlives_its_issuer(tmp_path):
    signer = start(setting(tmp_path, leaf_s=3600, intermediate_s=21_600, root_s=129_600, node_s=3600))
    end = signer.authority.issuer.certificate.not_valid_after_utc
    signer.wall.now = end - timedelta(minutes=10)
    issued = signer.leaf()
    assert issued.certificate.not_valid_after_utc == end
    assert issued.intent.window.truncated
    assert [row["truncated"] for row in signer.journal.rows() if row["event"] == "intent"][-1] is True
    signer.wall.now = end - timedelta(seconds=1)
    with pytest.raises(RefusedError) as refused:
        signer.leaf()
    assert refused.value.code == Code.ISSUER_ENDED
    signer.close()


def test_125_a_clock_before_the_issuer_is_refused(signer):
    signer.wall.advance(hours=-1)
    with pytest.raises(RefusedError) as refused:
        signer.leaf()
    assert refused.value.code == Code.CLOCK
    assert "set the clock" in str(refused.value)


def test_125_a_small_step_back_never_begins_before_the_issuer(signer):
    signer.wall.advance(seconds=-30)
    assert signer.leaf().certificate.not_valid_before_utc == signer.authority.issuer.certificate.not_valid_before_utc


@pytest.mark.parametrize(("moment", "tag"), [("2049-12-31T22:00:00", 0x17), ("2049-12-31T23:30:00", 0x18)])
def test_12_times_are_utc_time_until_2049_and_generalized_time_after(tmp_path, moment, tag):
    signer = start(setting(tmp_path), Wall(datetime.fromisoformat(moment).replace(tzinfo=UTC)))
    issued = signer.leaf()
    end = issued.certificate.not_valid_after_utc
    text = f"{end:%y%m%d%H%M%SZ}" if tag == 0x17 else f"{end:%Y%m%d%H%M%SZ}"
    assert bytes((tag, len(text))) + text.encode() in issued.chain_der[0]
    signer.close()


def test_14_the_signature_hash(leaf, signer):
    for certificate in (leaf, signer.authority.issuer.certificate, *signer.authority.bundle.roots):
        assert certificate.signature_algorithm_oid._name == "ecdsa-with-SHA256"


def test_16_the_chain_is_leaf_then_intermediate_and_no_root(signer):
    issued = signer.leaf()
    root = signer.authority.bundle.roots_der[0]
    assert len(issued.chain_der) == 2
    assert issued.chain_der[0] == issued.certificate.public_bytes(serialization.Encoding.DER)
    assert issued.chain_der[1] != root
    between = x509.load_der_x509_certificate(issued.chain_der[1])
    assert verify_chain(issued.certificate, [between], signer.authority.bundle, signer.wall())


def test_17_the_size_budget(signer):
    issued = signer.leaf("spiffe://example.org/" + "a" * 1000, dns_names=tuple(f"name-{n}.example" for n in range(20)))
    assert len(pem(issued.chain_der)) < 8 * 1024 - 300


def test_19_20_24_25_the_authorities(signer):
    (root,) = signer.authority.bundle.roots
    between = signer.authority.issuer.certificate
    for certificate, length in ((root, 1), (between, 0)):
        assert value(certificate, x509.BasicConstraints) == x509.BasicConstraints(ca=True, path_length=length)
        assert usages(certificate) == {"key_cert_sign", "crl_sign"}
        assert uris(certificate) == ["spiffe://example.org"]
    common = {"subjectAltName": False, "basicConstraints": True, "keyUsage": True, "subjectKeyIdentifier": False}
    assert extensions(root) == common
    assert extensions(between) == {**common, "authorityKeyIdentifier": False}


def test_22_23_each_authority_has_its_own_key_and_name(tmp_path):
    roots = []
    for number in range(3):
        signer = start(setting(tmp_path / str(number)))
        roots.append(signer.authority.bundle.roots[0])
        signer.close()
    assert len({root.subject.rfc4514_string() for root in roots}) == 3
    assert len({value(root, x509.SubjectKeyIdentifier).digest for root in roots}) == 3


def test_servers_have_names_and_nodes_have_none(signer):
    server = signer.node(
        server="xds", dns_names=("localhost", "xds.internal"), ip_addresses=("127.0.0.1", "::1")
    ).certificate
    assert [str(name.value) for name in value(server, x509.SubjectAlternativeName)] == [
        "spiffe://example.org/cp/xds", "localhost", "xds.internal", "127.0.0.1", "::1",
    ]  # fmt: skip
    node = signer.node(node="web-1").certificate
    assert [name.value for name in value(node, x509.SubjectAlternativeName)] == ["spiffe://example.org/cp/node/web-1"]
    assert extensions(node) == extensions(server) == LEAF_EXTENSIONS


def openssl_verifies(directory, chain_der, root_der, now, *, purpose="sslserver"):
    for name, certificates in (("leaf", chain_der[:1]), ("between", chain_der[1:]), ("root", [root_der])):
        (directory / f"{name}.pem").write_bytes(pem(certificates))
    untrusted = ["-untrusted", "between.pem"] if chain_der[1:] else []
    done = subprocess.run(
        ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-attime", str(int(now.timestamp())),
         "-CAfile", "root.pem", *untrusted, "leaf.pem"],
        cwd=directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
@pytest.mark.parametrize("what", ["P-256", "P-384", "RSA", "server", "node"])
def test_16_openssl_takes_our_chains_strictly(tmp_path, signer, what, purpose):
    keys = {
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
    }
    if what == "server":
        issued = signer.node(server="ca", dns_names=("localhost",), ip_addresses=("127.0.0.1",))
    elif what == "node":
        issued = signer.node()
    else:
        issued = signer.leaf(csr_der=csr(keys[what]()) if what in keys else csr())
    good, text = openssl_verifies(
        tmp_path, issued.chain_der, signer.authority.bundle.roots_der[0], signer.wall(), purpose=purpose
    )
    assert good, text


def test_openssl_refuses_what_we_refuse(tmp_path, signer):
    issued = signer.leaf(ttl_s=60)
    root = signer.authority.bundle.roots_der[0]
    good, _ = openssl_verifies(tmp_path, issued.chain_der, root, signer.wall() + timedelta(seconds=61))
    assert not good, "expired"
    good, _ = openssl_verifies(tmp_path, issued.chain_der[:1], root, signer.wall())
    assert not good, "without its intermediate"
    forged = bytearray(issued.chain_der[0])
    forged[-1] ^= 1
    good, _ = openssl_verifies(tmp_path, [bytes(forged), issued.chain_der[1]], root, signer.wall())
    assert not good, "another signature"
