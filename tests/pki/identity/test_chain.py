"""Chains of peers: what identity 36 and 37 list, each refused for a reason of its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from fakes.ca_chain import NOW, intermediate, key_usage, make, root

from ca.errors import LocalError
from ca.identity.bundle import Bundle
from ca.identity.chain import ChainError, Reason, verify_chain, verify_peer

WEB = "spiffe://a.org/web"
ROOT = root()
BETWEEN = intermediate(ROOT)
BUNDLE = Bundle.build("a.org", [ROOT.certificate], 1)


def leaf(issuer=BETWEEN, uris=(WEB,), **options):
    return make(issuer, uris=uris, **options).certificate


def reason(certificate, *, between=(BETWEEN.certificate,), bundle=BUNDLE, now=NOW):
    with pytest.raises(ChainError) as refused:
        verify_chain(certificate, between, bundle, now)
    return refused.value.reason


def test_a_good_chain_gives_its_id():
    assert str(verify_chain(leaf(), [BETWEEN.certificate], BUNDLE, NOW)) == WEB
    assert str(verify_peer([leaf(), BETWEEN.certificate], {"a.org": BUNDLE}, NOW)) == WEB


def test_a_leaf_of_the_root_itself_is_good():
    assert str(verify_chain(leaf(ROOT), [], BUNDLE, NOW)) == WEB


def test_the_order_of_intermediates_and_strangers_among_them_do_not_matter():
    stranger = intermediate(root("stranger"), "intermediate")
    assert verify_chain(leaf(), [stranger.certificate, BETWEEN.certificate], BUNDLE, NOW)


def test_both_roots_of_a_bundle_count():
    other = root("other")
    bundle = Bundle.build("a.org", [ROOT.certificate, other.certificate], 2)
    below = intermediate(other)
    assert verify_chain(leaf(), [BETWEEN.certificate], bundle, NOW)
    assert verify_chain(leaf(below), [below.certificate], bundle, NOW)


def test_23_two_roots_of_one_name_do_not_hide_each_other():
    twin = root()
    below = intermediate(twin)
    bundle = Bundle.build("a.org", [ROOT.certificate, twin.certificate], 2)
    assert verify_chain(leaf(), [BETWEEN.certificate], bundle, NOW)
    assert verify_chain(leaf(below), [below.certificate], bundle, NOW)


NEGATIVE = {  # identity 36
    Reason.NO_URI_SAN: lambda: leaf(uris=()),
    Reason.SEVERAL_URI_SANS: lambda: leaf(uris=(WEB, "spiffe://b.org/admin")),
    Reason.INVALID_SPIFFE_ID: lambda: leaf(uris=("sparfe://a.org/web",)),
    Reason.NO_PATH: lambda: leaf(uris=("spiffe://a.org",)),
    Reason.WRONG_TRUST_DOMAIN: lambda: leaf(uris=("spiffe://b.org/web",)),
    Reason.LEAF_IS_CA: lambda: leaf(ca=True),
    Reason.LEAF_SIGNS_CERTIFICATES: lambda: leaf(usage=key_usage("digital_signature", "key_cert_sign")),
    Reason.LEAF_SIGNS_CRLS: lambda: leaf(usage=key_usage("digital_signature", "crl_sign")),
    Reason.LEAF_KEY_USAGE: lambda: leaf(usage=key_usage("key_agreement")),
    Reason.EXPIRED: lambda: leaf(end=NOW - timedelta(seconds=1)),
    Reason.NOT_YET_VALID: lambda: leaf(begin=NOW + timedelta(seconds=1)),
    Reason.UNTRUSTED: lambda: leaf(intermediate(root("elsewhere"))),
    Reason.UNKNOWN_CRITICAL: lambda: leaf(
        extra=[(x509.NameConstraints([x509.DNSName("a.org")], None), True)],
    ),
}


@pytest.mark.parametrize("expected", NEGATIVE, ids=str)
def test_36_each_defect_of_a_leaf_has_its_own_reason(expected):
    assert reason(NEGATIVE[expected]()) is expected


def test_36_no_leaf_and_no_bundle():
    with pytest.raises(ChainError) as refused:
        verify_peer([], {"a.org": BUNDLE}, NOW)
    assert refused.value.reason is Reason.EMPTY_CHAIN
    assert reason(None) is Reason.EMPTY_CHAIN
    assert reason(leaf(), bundle=None) is Reason.NO_BUNDLE
    assert reason(leaf(), bundle=Bundle("a.org", (), 1)) is Reason.NO_ROOTS
    with pytest.raises(ChainError) as refused:
        verify_peer([leaf()], {}, NOW)
    assert refused.value.reason is Reason.NO_BUNDLE


@pytest.mark.parametrize(
    "text",
    ["SPIFFE://a.org/web", "spiffe://a.org/web/", "spiffe://a.org/../web", "spiffe://u@a.org/web", "http://a.org/x"],
)
def test_36_an_id_that_is_not_canonical(text):
    assert reason(leaf(uris=(text,))) is Reason.INVALID_SPIFFE_ID


def test_37_the_anchors_are_those_of_the_trust_domain_that_the_id_names():
    other_root = root("b")
    other = intermediate(other_root)
    bundles = {"a.org": BUNDLE, "b.org": Bundle.build("b.org", [other_root.certificate], 1)}
    forged = make(other, uris=(WEB,)).certificate  # a.org's name, signed by b.org
    with pytest.raises(ChainError) as refused:
        verify_peer([forged, other.certificate], bundles, NOW)
    assert refused.value.reason is Reason.UNTRUSTED
    honest = make(other, uris=("spiffe://b.org/web",)).certificate
    assert verify_peer([honest, other.certificate], bundles, NOW).trust_domain == "b.org"
    with pytest.raises(ChainError) as refused:
        verify_peer([honest, other.certificate], {"a.org": BUNDLE}, NOW)
    assert refused.value.reason is Reason.WRONG_TRUST_DOMAIN


def test_24_an_authority_below_an_intermediate_is_refused():
    below = intermediate(BETWEEN, "below")
    assert reason(leaf(below), between=(BETWEEN.certificate, below.certificate)) is Reason.UNTRUSTED


def test_27_an_authority_cannot_authenticate():
    assert reason(BETWEEN.certificate, between=()) is Reason.NO_URI_SAN
    named = intermediate(ROOT, uris=("spiffe://a.org/web",))
    assert reason(named.certificate, between=()) is Reason.LEAF_IS_CA


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"end": NOW - timedelta(seconds=1)}, Reason.EXPIRED),
        ({"begin": NOW + timedelta(seconds=1)}, Reason.NOT_YET_VALID),
        ({"usage": key_usage("crl_sign")}, Reason.UNTRUSTED),
        ({"extra": [(x509.NameConstraints([x509.DNSName("a.org")], None), True)]}, Reason.UNKNOWN_CRITICAL),
    ],
)
def test_a_defect_of_an_intermediate(options, expected):
    bad = intermediate(ROOT, **options)
    assert reason(leaf(bad), between=(bad.certificate,)) is expected


def test_an_issuer_that_is_no_authority():
    not_ca = make(ROOT, name="leaf", uris=("spiffe://a.org/x",))
    assert reason(leaf(not_ca), between=(not_ca.certificate,)) is Reason.UNTRUSTED


def test_an_expired_root_ends_trust():
    old = root("old", end=NOW - timedelta(seconds=1))
    assert reason(leaf(old), between=(), bundle=Bundle.build("a.org", [old.certificate], 1)) is Reason.EXPIRED


def test_the_intermediate_is_no_anchor_even_if_the_peer_sends_it():
    assert reason(leaf(), between=()) is Reason.UNTRUSTED
    with pytest.raises(LocalError):
        Bundle.build("a.org", [BETWEEN.certificate], 1)


def test_a_long_chain_is_refused_before_it_costs_anything():
    assert reason(leaf(), between=(BETWEEN.certificate,) * 4) is Reason.CHAIN_TOO_LONG


def test_a_certificate_does_not_vouch_for_itself():
    selfish = make(uris=(WEB,), name="x").certificate
    assert reason(selfish, between=(selfish,)) is Reason.UNTRUSTED
