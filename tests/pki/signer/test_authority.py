"""The intermediate's life: renewed at half of it, with a new key, without a change of the bundle."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from cryptography import x509
from fakes.ca_authority import START, setting, start

from ca.errors import LegationError, LocalError
from ca.identity.chain import verify_chain
from ca.signer import keystore
from ca.signer.rotation import should_renew_intermediate


def test_the_predicate_counts_from_issue_and_not_from_the_backdate():
    end = START + timedelta(seconds=100)
    assert not should_renew_intermediate(START, end, START + timedelta(seconds=49))
    assert should_renew_intermediate(START, end, START + timedelta(seconds=50))
    assert should_renew_intermediate(START, end, end + timedelta(days=1))
    assert not should_renew_intermediate(START, end, START - timedelta(days=1))


def test_80_renewed_at_half_of_its_life_and_not_before(signer):
    assert not signer.authority.tick(signer.wall.advance(days=3.49))
    assert signer.authority.tick(signer.wall.advance(days=0.02))
    assert not signer.authority.tick(signer.wall())


def test_80_leafs_of_the_old_and_the_new_one_verify_against_the_unchanged_bundle(signer):
    bundle, old = signer.authority.bundle, signer.leaf(ttl_s=86_400)
    signer.authority.tick(signer.wall.advance(days=3.6) - timedelta(0))
    signer.wall.now -= timedelta(days=3.6)
    assert signer.authority.bundle == bundle
    signer.wall.advance(days=3.6)
    new = signer.leaf(ttl_s=86_400)
    assert new.certificate.issuer != old.certificate.issuer
    for issued, now in ((old, START + timedelta(hours=1)), (new, signer.wall())):
        assert verify_chain(issued.certificate, [x509.load_der_x509_certificate(issued.chain_der[1])], bundle, now)


def test_22_81_a_new_key_each_time_and_the_old_one_is_destroyed(tmp_path, signer):
    ids, keys = [], set()
    for _ in range(4):
        (_, between) = signer.authority.authorities
        ids.append(between.id)
        keys.add(between.spki)
        signer.authority.tick(signer.wall.advance(days=3.6))
    assert len(keys) == len(set(ids)) == 4
    left = {path.stem for path in (tmp_path / "data/keystore").glob("*.json")}
    assert left == {"state", *(authority.id for authority in signer.authority.authorities)}
    replaced = [row["replaces"] for row in signer.journal.rows() if row["event"] == "activate"]
    assert replaced == ids


def test_an_intermediate_that_has_ended_while_the_signer_was_down_is_replaced_at_once(tmp_path, signer):
    signer.close()
    signer.wall.advance(days=30)
    again = start(setting(tmp_path), signer.wall)
    assert again.authority.ended(signer.wall())
    assert again.authority.tick(signer.wall())
    assert again.leaf()
    again.close()


def test_83_a_failed_renewal_leaves_the_old_one_at_work(signer, monkeypatch):
    def full(*_):
        raise LocalError("the disk is full")

    old = signer.authority.issuer.certificate
    signer.wall.advance(days=4)
    with monkeypatch.context() as patch:
        patch.setattr(keystore.KeyStore, "put_state", full)
        with pytest.raises(LegationError):
            signer.authority.tick(signer.wall())
    assert signer.leaf().certificate.issuer == old.subject
    assert signer.authority.tick(signer.wall())
    assert signer.leaf().certificate.issuer != old.subject


def test_a_root_that_has_ended_is_said_and_nothing_is_made_up(signer):
    signer.wall.advance(days=366)
    with pytest.raises(LocalError, match="the root ended"):
        signer.authority.tick(signer.wall())


def test_a_new_root_is_announced(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        start(setting(tmp_path)).close()
    assert "made a new root" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        start(setting(tmp_path)).close()
    assert "made a new root" not in caplog.text


def test_the_rest_of_an_unfinished_step_is_removed(tmp_path, signer):
    signer.close()
    rest = tmp_path / "data/keystore/00ff.json"
    rest.write_text("{}")
    start(setting(tmp_path)).close()
    assert not rest.exists()
