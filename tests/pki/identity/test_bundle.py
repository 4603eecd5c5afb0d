from __future__ import annotations

import random

import pytest
from fakes.ca_authority import Wall, setting, start

from ca.errors import LocalError
from ca.identity.bundle import Bundle


@pytest.fixture
def roots(tmp_path):
    """Roots of three authorities; the last two begin in the same second."""
    wall, made = Wall(), []
    for number in range(3):
        signer = start(setting(tmp_path / str(number)), wall)
        made.append(signer.authority.bundle.roots[0])
        signer.close()
        if number == 0:
            wall.advance(hours=1)
    return made


def test_48_equal_content_gives_equal_bytes(roots):
    first = Bundle.build("example.org", roots, 7)
    for seed in range(20):
        shuffled = [*roots, roots[0]]
        random.Random(seed).shuffle(shuffled)
        again = Bundle.build("example.org", shuffled, 7)
        assert again == first
        assert again.pem == first.pem


def test_46_an_intermediate_never_becomes_an_anchor(signer):
    intermediate = signer.authority.issuer.certificate
    with pytest.raises(LocalError, match="not self-signed"):
        Bundle.build("example.org", [*signer.authority.bundle.roots, intermediate], 1)


def test_43_an_empty_bundle_is_never_made():
    with pytest.raises(LocalError, match="revokes everything"):
        Bundle.build("example.org", [], 1)


def test_45_a_bundle_has_one_trust_domain_and_no_operation_that_merges_two(roots):
    bundle = Bundle.build("example.org", roots, 1)
    assert bundle.trust_domain == "example.org"
    assert not any(hasattr(bundle, name) for name in ("__add__", "__or__", "merge", "union", "update"))


def test_a_bundle_survives_the_wire(roots):
    bundle = Bundle.build("example.org", roots, 3)
    assert Bundle.from_der("example.org", bundle.roots_der, 3) == bundle
    with pytest.raises(LocalError, match="cannot be read"):
        Bundle.from_der("example.org", [b"\x30\x00"], 3)
