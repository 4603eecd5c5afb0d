"""Prepare, then issue: no path to the real key leads around the checks."""

from __future__ import annotations

import ast
import copy
import gc
import pickle
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from fakes.ca_authority import START

import ca.signer.issuer as module
from ca.errors import Code, LocalError, RefusedError
from ca.identity import profile
from ca.identity.order import Kind, Order
from ca.identity.spiffe import parse
from ca.signer import der
from ca.signer.issuer import Issued, Issuer, Token
from ca.signer.key import SigningKey

SIGNER = Path(module.__file__).parent


class Record:
    """A journal that remembers what happened in which order."""

    def __init__(self, calls, *, broken=""):
        self.calls = calls
        self.broken = broken

    def intents(self, intents):
        self.calls.append(("intents", len(intents)))
        if self.broken == "intents":
            raise LocalError("the disk is full")

    def results(self, results, intents):
        self.calls.append(("results", [type(result).__name__ for result in results]))
        if self.broken == "results":
            raise LocalError("the disk is full")


def order(spiffe_id="spiffe://example.org/web", kind=Kind.WORKLOAD, key=None, **fields):
    fields.setdefault("ttl_s", 3600)
    public_key = (key or ec.generate_private_key(ec.SECP256R1())).public_key()
    return Order(kind, parse(spiffe_id), public_key, **fields)


@pytest.fixture
def calls():
    return []


@pytest.fixture
def issuer(calls, monkeypatch):
    key = SigningKey.generate()
    root = Issuer(key, None, Record([]))
    ca = Order(Kind.ROOT, parse("spiffe://example.org"), key.public_key, 86_400)
    (made,) = root.issue([root.prepare(ca, now=START, backdate_s=60)])
    real = SigningKey.sign_tbs

    def sign_tbs(self, tbs):
        calls.append(("signature", tbs))
        return real(self, tbs)

    monkeypatch.setattr(SigningKey, "sign_tbs", sign_tbs)
    return Issuer(key, made.certificate, Record(calls))


def prepare(issuer, **fields):
    return issuer.prepare(order(**fields), now=START, backdate_s=60)


def test_58_intent_signature_result_in_that_order(issuer, calls):
    results = issuer.issue([prepare(issuer), prepare(issuer)])
    assert [call[0] for call in calls] == ["intents", "signature", "signature", "results"]
    assert all(isinstance(result, Issued) for result in results)


def test_the_signed_bytes_are_the_linted_bytes(issuer, calls, monkeypatch):
    linted = []
    real = module.lint
    monkeypatch.setattr(module, "lint", lambda *args: (linted.append(args[0]), real(*args)))
    (issued,) = issuer.issue([prepare(issuer)])
    assert [call[1] for call in calls if call[0] == "signature"] == [linted[0].tbs_certificate_bytes]
    assert issued.certificate.tbs_certificate_bytes == linted[0].tbs_certificate_bytes
    assert issued.certificate.signature != linted[0].signature
    issued.certificate.verify_directly_issued_by(issuer.certificate)
    with pytest.raises(Exception):  # noqa: B017, PT011 (any refusal will do)
        linted[0].verify_directly_issued_by(issuer.certificate)


def test_a_token_works_once(issuer):
    token = prepare(issuer)
    issuer.issue([token])
    with pytest.raises(LocalError, match="used once"):
        issuer.issue([token])
    again = prepare(issuer)
    with pytest.raises(LocalError, match="used once"):
        issuer.issue([again, again])


def test_a_token_works_at_its_issuer_only(issuer, calls):
    other = Issuer(SigningKey.generate(), None, Record([]))
    token = prepare(issuer)
    with pytest.raises(LocalError, match="used once"):
        other.issue([token])
    forged = Token(token.intent, token.tbs, token.algorithm)
    with pytest.raises(LocalError, match="used once"):
        issuer.issue([forged])
    assert "signature" not in [call[0] for call in calls]


def test_tokens_that_are_never_used_are_forgotten(issuer):
    for _ in range(5):
        prepare(issuer)
    gc.collect()
    assert len(issuer._Issuer__open) == 0


def test_nothing_is_signed_if_the_intent_cannot_be_written(calls, issuer):
    issuer._Issuer__journal.broken = "intents"
    with pytest.raises(LocalError):
        issuer.issue([prepare(issuer)])
    assert [call[0] for call in calls] == ["intents"]


def test_nothing_is_handed_out_if_the_result_cannot_be_written(issuer):
    issuer._Issuer__journal.broken = "results"
    with pytest.raises(LocalError):
        issuer.issue([prepare(issuer)])


def test_18_a_template_that_is_wrong_never_reaches_the_key(issuer, calls, monkeypatch):
    wrong = x509.BasicConstraints(ca=True, path_length=None)
    bad = tuple(
        x509.Extension(wrong.oid, True, wrong) if extension.oid == wrong.oid else extension
        for extension in profile._LEAF_CONSTANT
    )
    monkeypatch.setattr(profile, "_LEAF_CONSTANT", bad)
    with pytest.raises(RefusedError, match="a leaf is no CA") as refused:
        prepare(issuer)
    assert refused.value.code == Code.LINT
    assert calls == []


@pytest.mark.parametrize("what", ["signature", "bytes"])
def test_18_a_signature_that_is_wrong_is_not_handed_out(issuer, calls, monkeypatch, what):
    if what == "signature":
        monkeypatch.setattr(
            SigningKey,
            "sign_tbs",
            lambda self, tbs: SigningKey.generate()._SigningKey__key.sign(b"x", ec.ECDSA(module.hashes.SHA256())),
        )
    else:
        real = der.certificate
        monkeypatch.setattr(
            der, "certificate", lambda tbs, *rest: real(tbs.replace(b"example.org/web", b"example.org/wob"), *rest)
        )
    good = prepare(issuer)
    (result,) = issuer.issue([good])
    assert isinstance(result, RefusedError)
    assert result.code == Code.SELF_CHECK
    assert calls[-1] == ("results", ["RefusedError"])


def test_28_a_key_that_does_not_belong_to_the_certificate_is_refused(issuer):
    with pytest.raises(LocalError, match="does not belong"):
        Issuer(SigningKey.generate(), issuer.certificate, Record([]))


def test_only_the_issuer_signs():
    """`sign_tbs` is the only use of an authority's key, and it has one caller."""
    callers = set()
    for path in SIGNER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr == "sign_tbs":
                callers.add(path.name)
    assert callers == {"issuer.py"}


def test_150_a_signing_key_shows_and_gives_nothing():
    key = SigningKey.generate()
    scalar = format(key._SigningKey__key.private_numbers().private_value, "x")
    assert repr(key) == str(key) == format(key) == "<SigningKey redacted>"
    assert scalar not in repr(key)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy, lambda k: k == k, hash, vars):  # noqa: PLR0124
        with pytest.raises(TypeError):
            attempt(key)
