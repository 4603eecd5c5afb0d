from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from fakes.ca_authority import csr

from ca.errors import Code, RefusedError
from ca.identity.order import spki_sha256
from ca.signer import der
from ca.signer.csr import public_key_of


def refused(data):
    with pytest.raises(RefusedError) as error:
        public_key_of(data)
    return error.value.code


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
def test_13_key_types_that_are_certified(make):
    key = make()
    assert spki_sha256(public_key_of(csr(key))) == spki_sha256(key.public_key())


@pytest.mark.parametrize("curve", [ec.SECP224R1, ec.SECP521R1, ec.SECP256K1, ec.BrainpoolP256R1])
def test_13_curves_that_are_not(curve):
    assert refused(csr(ec.generate_private_key(curve()))) == Code.KEY_TYPE


def test_13_rsa_of_a_wrong_size():
    small = csr(rsa.generate_private_key(65537, 1024))  # noqa: S505 (that is the point)
    assert refused(small) == Code.KEY_TYPE


def test_13_rsa_with_a_small_exponent():
    assert refused(csr(rsa.generate_private_key(3, 2048))) == Code.KEY_TYPE


def test_13_ed25519_is_off():
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    assert refused(builder.sign(key, None).public_bytes(serialization.Encoding.DER)) == Code.KEY_TYPE


def test_49_the_signature_is_always_checked():
    data = bytearray(csr())
    data[-1] ^= 1
    assert refused(bytes(data)) in {Code.CSR_SIGNATURE, Code.CSR}


def test_49_a_request_for_somebody_elses_key_is_refused():
    """Their public key in our request, signed by us: possession is not proven."""
    mine, theirs = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    points = [
        key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        for key in (mine, theirs)
    ]
    assert refused(csr(mine).replace(*points)) == Code.CSR_SIGNATURE


def test_14_a_weak_hash_is_refused():
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    data = builder.sign(key, hashes.SHA224()).public_bytes(serialization.Encoding.DER)
    assert refused(data) == Code.CSR_SIGNATURE


@pytest.mark.parametrize(
    "data", [b"", b"\x30", b"\x30\x80", b"garbage", csr()[:-3], csr() + b"\0", b"\x30\x82\xff\xff"]
)
def test_what_is_no_request_is_refused(data):
    assert refused(data) == Code.CSR


def test_a_huge_request_is_refused_unread():
    assert refused(b"\x30" * 20_000) == Code.TOO_LARGE


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65_535, 65_536])
def test_der_lengths(size):
    element = der.element(0x30, b"x" * size)
    start, end = der.split(element)
    assert (end - start, end) == (size, len(element))
    with pytest.raises(Exception, match="DER ends"):
        der.split(element[:-1])
