"""A key leaves its holder by name or not at all."""

from __future__ import annotations

import copy
import json
import pickle

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fakes.ca_signer import World, run, workload

from ca.svid.holder import LeafKey


@pytest.fixture
def holder(signer):
    async def main():
        return await World(signer).issuer.issue(workload())

    return run(main)


def leaks(text: str, key_pem: bytes) -> bool:
    secret = b"".join(key_pem.splitlines()[1:-1]).decode()
    number = load_pem_private_key(key_pem, None).private_numbers().private_value
    return any(part in text for part in (secret, secret[20:60], "PRIVATE", str(number), f"{number:x}"))


@pytest.mark.parametrize("show", [repr, str, format, lambda thing: f"{thing!a}", lambda thing: f"{[thing]}"])
def test_no_way_of_printing_shows_the_key(holder, show):
    shown = show(holder) + show(holder._key)
    assert "redacted" in shown
    assert not leaks(shown, holder.key_pem())


def test_the_check_for_leaks_finds_one(holder):
    assert leaks(holder.key_pem().decode(), holder.key_pem())


@pytest.mark.parametrize(
    "way", [copy.copy, copy.deepcopy, *(lambda thing, p=p: pickle.dumps(thing, p) for p in range(6)), json.dumps]
)
@pytest.mark.parametrize("of", [lambda holder: holder, lambda holder: holder._key])
def test_no_way_of_copying_works(holder, way, of):
    with pytest.raises(TypeError) as caught:
        way(of(holder))
    assert not leaks(str(caught.value), holder.key_pem())


def test_it_has_no_dictionary(holder):
    with pytest.raises(TypeError):
        vars(holder)


def test_the_key_is_p256_and_fits_the_certificate(holder):
    key = load_pem_private_key(holder.key_pem(), None)
    assert isinstance(key.curve, ec.SECP256R1)
    leaf = x509.load_der_x509_certificate(holder.chain_der[0])
    assert holder._key.matches(leaf)
    assert not LeafKey().matches(leaf)


def test_the_chain_is_leaf_first_without_a_root_and_small(holder, signer):
    """Identity 16 and 17."""
    chain = x509.load_pem_x509_certificates(holder.chain_pem())
    assert chain[0].serial_number == holder.life.serial
    assert all(certificate.issuer != certificate.subject for certificate in chain)
    assert len(holder.chain_pem()) + len(holder.key_pem()) < 8192


def test_the_request_names_nothing_and_is_signed():
    request = x509.load_der_x509_csr(LeafKey().csr_der())
    assert request.is_signature_valid
    assert not list(request.subject)
    assert not list(request.extensions)
