"""What the signer answers is checked before anybody uses it (identity 72)."""

from __future__ import annotations

import pytest
from cryptography import x509
from fakes.ca_authority import setting, start
from fakes.ca_signer import World, run, workload

from ca.errors import LegationError
from ca.svid.errors import UnfitCertificateError
from ca.svid.order import Order


def issue(signer, order, tamper=lambda signed, world: None):
    async def main():
        world = World(signer)
        world.client.tamper = lambda signed: tamper(signed, world)
        return await world.issuer.issue(order)

    return run(main)


def other_chain(signer, **fields) -> list[bytes]:
    return list(signer.leaf(**fields).chain_der)


def test_a_workload_gets_what_its_entry_says(signer):
    holder = issue(signer, workload(dns=("web.example",)))
    leaf = x509.load_der_x509_certificate(holder.chain_der[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://example.org/web"]
    assert names.get_values_for_type(x509.DNSName) == ["web.example"]
    assert holder.life.length_s == 100
    assert holder.serial == f"{leaf.serial_number:x}"


def test_a_node_and_a_server_get_theirs(signer):
    assert str(issue(signer, Order.of_node("example.org", "web-1")).spiffe_id) == "spiffe://example.org/cp/node/web-1"
    server = issue(signer, Order.of_server("example.org", "ca", ("localhost",), ("127.0.0.1",)))
    leaf = x509.load_der_x509_certificate(server.chain_der[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def swapped(signed, chain) -> None:
    del signed.chain_der[:]
    signed.chain_der.extend(chain)


def test_a_certificate_for_another_key_is_refused(signer):
    with pytest.raises(UnfitCertificateError, match="another key"):
        issue(signer, workload(), lambda signed, _: swapped(signed, other_chain(signer)))


def test_a_certificate_of_another_identity_is_refused(signer):
    """As if the signer had mixed up two orders for one key."""
    with pytest.raises(UnfitCertificateError, match="another identity"):
        ask_for_other_fields(signer, {"spiffe_id": "spiffe://example.org/other"})


def ask_for_other_fields(signer, changed):
    async def main():
        world = World(signer)
        real = world.client.sign

        async def sign(verb, fields):
            return await real(verb, fields | changed)

        world.client.sign = sign
        return await world.issuer.issue(workload(dns=("a.example",)))

    return run(main)


def test_another_root_is_refused(signer, tmp_path):
    stranger = start(setting(tmp_path / "other"))
    try:
        foreign = stranger.authority.bundle.roots_der
        with pytest.raises(UnfitCertificateError, match="sequence"):
            issue(signer, workload(), lambda signed, _: swapped_roots(signed, foreign))
    finally:
        stranger.close()


def swapped_roots(signed, roots) -> None:
    del signed.bundle.roots_der[:]
    signed.bundle.roots_der.extend(roots)


def test_a_signer_of_another_trust_domain_is_refused(signer):
    with pytest.raises(UnfitCertificateError, match="trust domain"):
        issue(signer, workload(), lambda signed, _: setattr(signed.bundle, "trust_domain", "other.example"))


def test_dns_names_that_nobody_asked_for_are_refused(signer):
    with pytest.raises(UnfitCertificateError, match="DNS"):
        ask_for_other_fields(signer, {"dns_names": ("evil.example",)})


def test_a_chain_without_its_intermediate_is_refused(signer):
    with pytest.raises(LegationError):
        issue(signer, workload(), lambda signed, _: signed.chain_der.pop(1))


def test_a_certificate_that_has_ended_is_refused(signer):
    async def main():
        world = World(signer)
        world.client.delay_s = 0
        world.clocks.stepped_s = 0
        world.client.tamper = lambda _signed: setattr(world.clocks, "stepped_s", 1000)
        with pytest.raises(LegationError):
            await world.issuer.issue(workload(ttl_s=100))

    run(main)


def test_a_newer_bundle_is_learnt_with_an_answer_and_an_older_one_never(signer):
    async def main():
        world = World(signer)
        news = []
        world.trust.on_change = lambda: news.append(world.trust.bundle.sequence)
        first = world.trust.bundle
        newer = world.client._result("state", {}).bundle
        newer.sequence = first.sequence + 1
        world.trust.learn(newer)
        assert news == [first.sequence + 1]
        world.trust.learn(newer)
        assert news == [first.sequence + 1], "the same again is no news"
        older = world.client._result("state", {}).bundle
        with pytest.raises(UnfitCertificateError, match="rolled back"):
            world.trust.learn(older)
        assert world.trust.bundle.sequence == first.sequence + 1

    run(main)
