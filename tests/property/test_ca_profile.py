"""Whatever is asked for within policy, what comes out has the profile (identity 1A); whatever is not, is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fakes.ca_authority import csr, leaf_request, setting, start
from fakes.ca_chain import NOW, intermediate, make, root
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ca.errors import RefusedError
from ca.identity.bundle import Bundle
from ca.identity.chain import ChainError, verify_chain, verify_peer
from ca.identity.lifetimes import Lifetimes
from ca.identity.spiffe import check_dns_name
from ca.signer.csr import public_key_of
from ca.signer.issuer import Issued
from ca.signer.lint import IssuerSide, lint
from xds.names import InvalidSpiffeId, SpiffeId

segment = st.text(st.sampled_from("abcXYZ019._-"), min_size=1, max_size=12).filter(lambda text: text not in {".", ".."})
path = st.lists(segment, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))
label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
dns_name = (
    st.lists(label, min_size=1, max_size=4).map(".".join).filter(lambda name: not name.replace(".", "").isdigit())
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    made = start(setting(tmp_path_factory.mktemp("authority")))
    yield made
    made.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    path=path, names=st.lists(dns_name, max_size=4, unique=True), ttl=st.integers(0, 2**32 - 1), day=st.floats(0, 3.4)
)
def test_1_to_16_every_certificate_has_the_profile(signer, path, names, ttl, day):
    signer.wall.now = signer.authority.issuer.certificate.not_valid_before_utc + timedelta(minutes=1, days=day)
    (answer,) = signer.verbs.sign(
        [leaf_request("spiffe://example.org" + path, dns_names=tuple(names), ttl_s=ttl)], signer.wall()
    )
    if path == "/cp" or path.startswith("/cp/"):
        assert answer.code == "reserved_path"
        return
    assert isinstance(answer, Issued)
    certificate, window = answer.certificate, answer.intent.window
    san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [name.value for name in san.value] == ["spiffe://example.org" + path, *names]
    assert san.critical
    assert len(list(certificate.subject)) == 0
    lint(certificate, answer.intent.order, IssuerSide.of(signer.authority.issuer.certificate))
    between = x509.load_der_x509_certificate(answer.chain_der[1])
    assert str(verify_chain(certificate, [between], signer.authority.bundle, signer.wall())) == san.value[0].value
    assert certificate.not_valid_before_utc >= between.not_valid_before_utc
    assert certificate.not_valid_after_utc <= between.not_valid_after_utc
    asked = min(max(ttl or 3600, 2), 7 * 86_400 // 6)
    assert window.not_after - window.issued_at == timedelta(seconds=asked)
    with pytest.raises(ChainError, match="expired"):
        verify_chain(certificate, [between], signer.authority.bundle, window.not_after + timedelta(seconds=1))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=60), st.text(max_size=40).map(lambda rest: "spiffe://example.org/" + rest)))
def test_30_to_35_whatever_is_called_an_id_is_canonical_or_refused(signer, text):
    (answer,) = signer.verbs.sign([leaf_request(text, csr_der=b"\x30")], signer.wall())
    assert isinstance(answer, RefusedError)
    assert str(answer).isprintable()
    try:
        parsed = SpiffeId.parse(text)
    except InvalidSpiffeId:
        assert answer.code == "spiffe_id"
    else:
        assert str(parsed) == text
        assert answer.code in {"csr", "reserved_path", "trust_domain", "spiffe_id"}


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_49_random_bytes_are_never_a_signing_request(data):
    with pytest.raises(RefusedError):
        public_key_of(data)


def _odd(make_der):
    """DER that ends in a one bit: otherwise "one bit less" is another way of writing the same signature."""
    return next(der for der in iter(make_der, None) if der[-1] & 1)


GOOD = _odd(csr)


@settings(max_examples=500, deadline=None)
@given(position=st.integers(0, len(GOOD) - 1), mask=st.integers(1, 255))
def test_49_a_request_with_a_changed_byte_is_refused(position, mask):
    bad = bytearray(GOOD)
    bad[position] ^= mask
    with pytest.raises(RefusedError):
        public_key_of(bytes(bad))


CHAIN_ROOT = root()
CHAIN_BETWEEN = intermediate(CHAIN_ROOT)
CHAIN_LEAF = _odd(
    lambda: make(CHAIN_BETWEEN, uris=("spiffe://a.org/web",)).certificate.public_bytes(Encoding.DER),
)
CHAIN_BUNDLE = Bundle.build("a.org", [CHAIN_ROOT.certificate], 1)


@settings(max_examples=400, deadline=None)
@given(position=st.integers(0, len(CHAIN_LEAF) - 1), mask=st.integers(1, 255))
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # a serial below zero
def test_36_a_chain_with_a_changed_byte_is_refused_with_a_reason(position, mask):
    bad = bytearray(CHAIN_LEAF)
    bad[position] ^= mask
    try:
        leaf = x509.load_der_x509_certificate(bytes(bad))
    except (ValueError, x509.InvalidVersion):
        return
    with pytest.raises(ChainError):
        verify_peer([leaf, CHAIN_BETWEEN.certificate], {"a.org": CHAIN_BUNDLE}, NOW)


@given(
    st.builds(
        Lifetimes,
        leaf_s=st.integers(-10, 10**9),
        intermediate_s=st.integers(-10, 10**9),
        root_s=st.integers(-10, 10**9),
        node_s=st.integers(-10, 10**9),
        backdate_s=st.integers(-10, 1000),
    )
)
def test_the_nearest_valid_lifetimes_are_valid(lifetimes):
    nearest = lifetimes.nearest_valid()
    assert nearest.checked() == nearest


@given(st.text(max_size=300))
def test_a_dns_name_is_one_or_refused(text):
    try:
        check_dns_name(text)
    except RefusedError as refused:
        words = str(refused)
    else:
        words = ""
        assert text == text.lower()
        assert x509.DNSName(text).value == text
    assert words.isprintable()
