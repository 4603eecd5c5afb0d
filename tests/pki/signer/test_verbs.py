"""What the signer answers: identity 1E, as far as it is the signer's."""

from __future__ import annotations

import errno
import os
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.ca_authority import csr, leaf_request, node_request, setting, start

from ca.errors import Code, RefusedError
from ca.signer import verbs as module
from ca.signer.issuer import Issued


def ask(signer, *requests):
    return signer.verbs.sign(requests, signer.wall())


def code(signer, request):
    (answer,) = ask(signer, request)
    assert isinstance(answer, RefusedError), "issued"
    return answer.code


@pytest.mark.parametrize(
    ("spiffe_id", "expected"),
    [
        ("spiffe://other.org/web", Code.TRUST_DOMAIN),
        ("spiffe://example.org", Code.SPIFFE_ID),
        ("spiffe://example.org/", Code.SPIFFE_ID),
        ("", Code.SPIFFE_ID),
        ("spiffe://example.org/web\n", Code.SPIFFE_ID),
        ("spiffe://example.org/cp/xds", Code.RESERVED_PATH),
        ("spiffe://example.org/cp/node/other", Code.RESERVED_PATH),
    ],
)
def test_3_4_61_identities_that_are_not_issued(signer, spiffe_id, expected):
    assert code(signer, leaf_request(spiffe_id)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"node": ""}, Code.NAME),
        ({"node": "a/b"}, Code.NAME),
        ({"dns_names": ("*.example",)}, Code.NAME),
        ({"dns_names": ("UPPER.example",)}, Code.NAME),
        ({"dns_names": ("a..b",)}, Code.NAME),
        ({"dns_names": ("1.2.3.4",)}, Code.NAME),
        ({"dns_names": tuple(f"n{number}" for number in range(65))}, Code.NAME),
        ({"request_id": ""}, Code.REQUEST_ID),
        ({"request_id": "x" * 129}, Code.REQUEST_ID),
        ({"csr_der": b"nonsense"}, Code.CSR),
    ],
)
def test_what_is_wrong_with_a_leaf_request(signer, fields, expected):
    assert code(signer, leaf_request(**fields)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"node": "a/../b"}, Code.NAME),
        ({"node": "web", "dns_names": ("web.example",)}, Code.NAME),
        ({"node": "web", "ip_addresses": ("127.0.0.1",)}, Code.NAME),
        ({"node": None}, Code.MALFORMED),
        ({"node": "web", "server": "xds"}, Code.MALFORMED),
        ({"server": "node"}, Code.NAME),
        ({"server": "xds", "ip_addresses": ("127.0.0.1/8",)}, Code.NAME),
        ({"server": "xds", "ip_addresses": ("fe80::1%eth0",)}, Code.NAME),
        ({"server": "xds", "ip_addresses": ("localhost",)}, Code.NAME),
    ],
)
def test_what_is_wrong_with_a_node_request(signer, fields, expected):
    assert code(signer, node_request(**fields)) == expected


def test_49_proof_of_possession_on_every_verb(signer):
    data = bytearray(csr())
    data[-1] ^= 1
    for request in (leaf_request(csr_der=bytes(data)), node_request(csr_der=bytes(data))):
        assert code(signer, request) in {Code.CSR_SIGNATURE, Code.CSR}


def test_51_one_key_has_one_identity(signer):
    key = csr()
    assert isinstance(ask(signer, leaf_request("spiffe://example.org/a", csr_der=key))[0], Issued)
    assert code(signer, leaf_request("spiffe://example.org/b", csr_der=key)) == Code.KEY_REUSED
    assert code(signer, node_request(csr_der=key)) == Code.KEY_REUSED
    assert isinstance(ask(signer, leaf_request("spiffe://example.org/a", csr_der=key))[0], Issued)


def test_51_within_one_batch_as_well(signer):
    key = csr()
    first, second = ask(
        signer,
        leaf_request("spiffe://example.org/a", csr_der=key),
        leaf_request("spiffe://example.org/b", csr_der=key),
    )
    assert isinstance(first, Issued)
    assert second.code == Code.KEY_REUSED


def test_51_and_after_a_restart(tmp_path, signer):
    key = csr()
    ask(signer, leaf_request("spiffe://example.org/a", csr_der=key))
    signer.close()
    again = start(setting(tmp_path), signer.wall)
    assert code(again, leaf_request("spiffe://example.org/b", csr_der=key)) == Code.KEY_REUSED
    again.close()


def test_51_the_authoritys_own_key_is_not_certified(signer):
    for authority in signer.authority.authorities:
        own = csr(authority.key._SigningKey__key)
        assert code(signer, leaf_request(csr_der=own)) == Code.KEY_REUSED


def test_51_memory_of_keys_is_bounded(signer, monkeypatch):
    monkeypatch.setattr(module, "KEYS_MAX", 3)
    ask(signer, *(leaf_request(f"spiffe://example.org/{number}") for number in range(9)))
    assert len(signer.verbs._keys) == 3


@pytest.mark.parametrize(("asked", "given"), [(0, 3600), (20, 20), (1, 2), (36_000, 36_000), (10**9, 7 * 86_400 // 6)])
def test_53_the_life_is_clamped_and_reported(signer, asked, given):
    issued = signer.leaf(ttl_s=asked)
    window = issued.intent.window
    assert window.not_after - window.issued_at == timedelta(seconds=given)
    assert issued.certificate.not_valid_after_utc == window.not_after
    assert not window.truncated


def test_nodes_and_servers_live_as_configured(signer):
    for issued in (signer.node(), signer.node(server="xds")):
        assert issued.intent.window.not_after - issued.intent.window.issued_at == timedelta(days=1)


def test_54_a_repeated_request_gets_the_same_certificate(signer):
    request = leaf_request()
    answers = [*ask(signer, *([request] * 5)), *ask(signer, request), *ask(signer, request)]
    assert len({answer.chain_der for answer in answers}) == 1
    assert signer.verbs.issued == 1
    assert [row["event"] for row in signer.journal.rows() if row.get("kind") == "workload"] == ["intent", "issued"]


def test_54_another_request_under_the_same_id_is_refused(signer):
    request = leaf_request()
    other = leaf_request("spiffe://example.org/other", request_id=request.request_id)
    first, second = ask(signer, request, other)
    assert isinstance(first, Issued)
    assert second.code == Code.REQUEST_ID
    assert code(signer, other) == Code.REQUEST_ID


def test_54_a_refusal_is_not_remembered(signer):
    request = leaf_request("spiffe://other.org/x")
    assert code(signer, request) == Code.TRUST_DOMAIN
    assert isinstance(ask(signer, leaf_request(request_id=request.request_id))[0], Issued)


def test_54_memory_of_answers_is_bounded_in_number_and_time(signer, monkeypatch):
    monkeypatch.setattr(module, "ANSWERS_MAX", 3)
    ask(signer, *(leaf_request() for _ in range(9)))
    assert len(signer.verbs._answers) == 3
    signer.wall.advance(minutes=6)
    ask(signer, leaf_request())
    assert len(signer.verbs._answers) == 1


def test_54_a_repeated_answer_brings_the_intermediate_that_signed_it(signer):
    request = leaf_request()
    (first,) = ask(signer, request)
    signer.authority.tick(signer.wall.advance(days=4))
    signer.verbs._answers[request.request_id] = (module._digest(request), signer.wall(), first)
    (again,) = ask(signer, request)
    assert again.chain_der == first.chain_der


def test_what_is_wrong_with_one_concerns_that_one_only(signer):
    good, bad, also_good = ask(
        signer, leaf_request("spiffe://example.org/a"), leaf_request("bad"), leaf_request("spiffe://example.org/b")
    )
    assert isinstance(good, Issued)
    assert isinstance(also_good, Issued)
    assert bad.code == Code.SPIFFE_ID


def test_a_journal_that_cannot_be_written_stops_issuing_and_says_so(signer, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        (answer,) = ask(signer, leaf_request())
    assert isinstance(ask(signer, leaf_request())[0], Issued), "as soon as it can be written again"
    assert answer.code == Code.JOURNAL
    assert "nothing is signed" in str(answer)
    assert signer.verbs.issued == 1


def test_a_refusal_never_shows_the_request_raw(signer):
    (answer,) = ask(signer, leaf_request("spiffe://example.org/\x1b[31m\n"))
    assert str(answer).isprintable()


def test_nothing_that_is_answered_holds_a_key_of_the_authority(signer):
    secrets = [
        authority.key._SigningKey__key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )[36:68]
        for authority in signer.authority.authorities
    ]
    key = ec.generate_private_key(ec.SECP256R1())
    answers = ask(signer, leaf_request(csr_der=csr(key)), leaf_request("bad"), node_request())
    everything = repr(answers).encode() + b"".join(b"".join(a.chain_der) for a in answers if isinstance(a, Issued))
    assert not any(secret in everything for secret in secrets)
