"""What SDS sends, read back with Envoy's own API and with an independent codec (identity 46, 48, 98, 102, 108)."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import pickle
import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fakes.ca_signer import World, run, workload
from fakes.envoy_messages import new

from ca.errors import LocalError
from ca.svid.secrets import ROOTCA, bundle_record, svid_record
from xds.engine.record import make_record
from xds.names import SECRET

TLS = "envoy.extensions.transport_sockets.tls.v3"


@pytest.fixture
def world(signer):
    async def main():
        made = World(signer)
        return made, await made.issuer.issue(workload())

    return run(main)


def test_an_svid_is_a_tls_certificate_under_its_name(world):
    _, holder = world
    record = svid_record("default", holder)
    secret = new(f"{TLS}.Secret")
    secret.ParseFromString(record.body)
    assert (record.type_url, record.name, secret.name) == (SECRET, "default", "default")
    assert secret.WhichOneof("type") == "tls_certificate"
    assert secret.tls_certificate.certificate_chain.inline_bytes == holder.chain_pem()
    key = load_pem_private_key(secret.tls_certificate.private_key.inline_bytes, None)
    leaf = x509.load_pem_x509_certificate(holder.chain_pem())
    assert key.public_key() == leaf.public_key()
    assert secret.SerializeToString(deterministic=True) == record.body, "nothing that Envoy's API does not know"


def typed():
    """envoy-data-plane's classes; it warns about its own use of pydantic when it is imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("envoy_data_plane.envoy.extensions.transport_sockets.tls.v3")


def test_another_codec_reads_the_same(world):
    world_, holder = world
    secret_class, validator_class = typed().Secret, typed().SpiffeCertValidatorConfig
    secret = secret_class.FromString(svid_record("default", holder).body)
    assert secret.name == "default"
    assert secret.tls_certificate.certificate_chain.inline_bytes == holder.chain_pem()
    roots = secret_class.FromString(bundle_record(world_.trust.bundle).body)
    config = roots.validation_context.custom_validator_config
    assert config.name == "envoy.tls.cert_validator.spiffe"
    validator = validator_class.FromString(config.typed_config.value)
    assert [domain.name for domain in validator.trust_domains] == ["example.org"]
    assert validator.trust_domains[0].trust_bundle.inline_bytes == world_.trust.bundle.pem


def test_the_bundle_is_one_trust_domain_in_the_spiffe_validator_and_never_an_empty_context(world):
    world_, _ = world
    record = bundle_record(world_.trust.bundle)
    secret = new(f"{TLS}.Secret")
    secret.ParseFromString(record.body)
    assert secret.name == record.name == ROOTCA
    config = secret.validation_context.custom_validator_config.typed_config
    assert config.type_url == f"type.googleapis.com/{TLS}.SPIFFECertValidatorConfig"
    validator = new(f"{TLS}.SPIFFECertValidatorConfig")
    validator.ParseFromString(config.value)
    assert len(validator.trust_domains) == 1
    for certificate in x509.load_pem_x509_certificates(validator.trust_domains[0].trust_bundle.inline_bytes):
        certificate.verify_directly_issued_by(certificate)


def test_the_version_of_an_svid_is_its_fingerprint_and_that_of_the_bundle_its_content(world):
    world_, holder = world
    leaf = x509.load_pem_x509_certificate(holder.chain_pem())
    fingerprint = leaf.fingerprint(leaf.signature_hash_algorithm).hex()
    assert svid_record("default", holder).version == svid_record("spiffe://x/y", holder).version == fingerprint
    bundle = world_.trust.bundle
    later = dataclasses.replace(bundle, sequence=bundle.sequence + 7)
    assert bundle_record(bundle).version == bundle_record(later).version, "equal roots are no news to Envoy"


def test_a_thousand_renderings_are_identical(world):
    world_, _ = world
    bundle = world_.trust.bundle
    shuffled = dataclasses.replace(bundle, roots=tuple(reversed(bundle.roots)))
    assert len({bundle_record(each).body for each in (bundle, shuffled) for _ in range(500)}) == 1


def test_a_bundle_that_would_cut_everybody_off_is_refused(world):
    """Envoy acknowledges both, and then refuses every peer."""
    world_, holder = world
    empty = dataclasses.replace(world_.trust.bundle, roots=())
    intermediate = x509.load_der_x509_certificate(holder.chain_der[1])
    for bad in (empty, dataclasses.replace(world_.trust.bundle, roots=(intermediate,))):
        with pytest.raises(LocalError):
            bundle_record(bad)


def test_no_record_shows_its_bytes(world):
    _, holder = world
    shown = repr(svid_record("default", holder))
    assert "PRIVATE" not in shown
    assert "default" in shown


def test_a_record_leaves_by_its_frames_only():
    """It holds a key, so nothing turns it into something else on the way: no pickle, copy or dictionary."""
    record = make_record(SECRET, "default", b"key")
    for take in (pickle.dumps, copy.copy, copy.deepcopy, dataclasses.asdict, dataclasses.astuple, dataclasses.replace):
        with pytest.raises(TypeError):
            take(record)
    assert record == make_record(SECRET, "default", b"", version=record.version)
