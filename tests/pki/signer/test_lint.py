"""Every way in which a template can be wrong is found by the linter, which knows nothing of the template."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from fakes.ca_authority import START, csr
from fakes.ca_chain import key_usage

from ca.errors import RefusedError
from ca.identity import profile
from ca.identity.order import Kind, Order
from ca.identity.profile import IssuerFacts, template
from ca.identity.spiffe import parse
from ca.signer import lint as linter
from ca.signer.csr import public_key_of
from ca.signer.lint import IssuerSide, lint

URI = x509.UniformResourceIdentifier
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def build(wanted, *, hash_algorithm=None):
    return x509.CertificateBuilder(
        issuer_name=wanted.issuer,
        subject_name=wanted.subject,
        public_key=wanted.public_key,
        serial_number=wanted.serial,
        not_valid_before=wanted.window.not_before.replace(tzinfo=None),
        not_valid_after=wanted.window.not_after.replace(tzinfo=None),
        extensions=list(wanted.extensions),
    ).sign(OTHER_KEY, hash_algorithm or hashes.SHA256())


@pytest.fixture
def case(signer):
    issuer = signer.authority.issuer.certificate
    order = Order(
        Kind.WORKLOAD, parse("spiffe://example.org/web"), public_key_of(csr()), 3600, dns_names=("a.example",)
    )
    wanted = template(order, IssuerFacts.of(issuer), now=START, backdate_s=60, serial=x509.random_serial_number())
    return order, wanted, IssuerSide.of(issuer)


def with_extension(wanted, value, *, critical=None):
    """The template with one extension replaced, or added."""
    kept = [extension for extension in wanted.extensions if extension.oid != value.oid]
    before = next((extension.critical for extension in wanted.extensions if extension.oid == value.oid), False)
    added = x509.Extension(value.oid, before if critical is None else critical, value)
    return dataclasses.replace(wanted, extensions=(*kept, added))


def without(wanted, oid):
    return dataclasses.replace(wanted, extensions=tuple(e for e in wanted.extensions if e.oid != oid))


def later(wanted, **fields):
    return dataclasses.replace(wanted, window=dataclasses.replace(wanted.window, **fields))


SAN, BC, KU = x509.SubjectAlternativeName, x509.BasicConstraints, x509.KeyUsage
EKU, SKI, AKI = x509.ExtendedKeyUsage, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier
WEB, DNS = URI("spiffe://example.org/web"), x509.DNSName("a.example")

WRONG = {
    "another id": lambda t: with_extension(t, SAN([URI("spiffe://example.org/admin"), DNS])),
    "two ids": lambda t: with_extension(t, SAN([WEB, URI("spiffe://example.org/admin"), DNS])),
    "no id": lambda t: with_extension(t, SAN([DNS])),
    "no dns": lambda t: with_extension(t, SAN([WEB])),
    "more dns": lambda t: with_extension(t, SAN([WEB, DNS, x509.DNSName("b.example")])),
    "a mail address": lambda t: with_extension(t, SAN([WEB, DNS, x509.RFC822Name("a@b.c")])),
    "names not critical": lambda t: with_extension(t, SAN([WEB, DNS]), critical=False),
    "a CA": lambda t: with_extension(t, BC(ca=True, path_length=None)),
    "constraints not critical": lambda t: with_extension(t, BC(ca=False, path_length=None), critical=False),
    "no constraints": lambda t: without(t, BC.oid),
    "usage not critical": lambda t: with_extension(t, key_usage("digital_signature"), critical=False),
    "signs certificates": lambda t: with_extension(t, key_usage("digital_signature", "key_cert_sign")),
    "signs CRLs": lambda t: with_extension(t, key_usage("digital_signature", "crl_sign")),
    "no signature": lambda t: with_extension(t, key_usage("key_agreement")),
    "no usage": lambda t: without(t, KU.oid),
    "server only": lambda t: with_extension(t, EKU([ExtendedKeyUsageOID.SERVER_AUTH])),
    "any purpose": lambda t: with_extension(t, EKU([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
    "no purpose": lambda t: without(t, EKU.oid),
    "the issuer's key id": lambda t: with_extension(t, SKI(_value(t, AKI).key_identifier)),
    "no key id": lambda t: without(t, SKI.oid),
    "another issuer's key id": lambda t: with_extension(t, AKI(b"x" * 20, None, None)),
    "no authority id": lambda t: without(t, AKI.oid),
    "a CRL address": lambda t: with_extension(
        t, x509.CRLDistributionPoints([x509.DistributionPoint([URI("http://crl")], None, None, None)])
    ),
    "name constraints": lambda t: with_extension(t, x509.NameConstraints([x509.DNSName("x")], None), critical=True),
    "a subject": lambda t: dataclasses.replace(t, subject=t.issuer),
    "another issuer": lambda t: dataclasses.replace(t, issuer=x509.Name([])),
    "another key": lambda t: dataclasses.replace(t, public_key=OTHER_KEY.public_key()),
    "a short serial": lambda t: dataclasses.replace(t, serial=12345),
    "too long a life": lambda t: later(t, not_after=t.window.not_after + timedelta(minutes=10)),
    "beyond the issuer": lambda t: later(t, not_after=t.window.not_after + timedelta(days=30)),
    "before the issuer": lambda t: later(t, not_before=t.window.not_before - timedelta(minutes=10)),
}


def _value(wanted, kind):
    return next(extension.value for extension in wanted.extensions if isinstance(extension.value, kind))


def test_a_right_template_passes(case):
    order, wanted, issuer = case
    lint(build(wanted), order, issuer)


@pytest.mark.parametrize("what", WRONG)
def test_18_a_wrong_template_is_found(case, what):
    order, wanted, issuer = case
    with pytest.raises(RefusedError, match="not right"):
        lint(build(WRONG[what](wanted)), order, issuer)


def test_14_a_hash_that_is_not_allowed(case):
    order, wanted, issuer = case
    with pytest.raises(RefusedError, match="SHA-256"):
        lint(build(wanted, hash_algorithm=hashes.SHA224()), order, issuer)


def test_13_a_curve_that_is_not_allowed(case):
    order, wanted, issuer = case
    key = ec.generate_private_key(ec.SECP224R1()).public_key()
    bad = with_extension(dataclasses.replace(wanted, public_key=key), SKI.from_public_key(key))
    with pytest.raises(RefusedError, match="key type"):
        lint(build(bad), dataclasses.replace(order, public_key=key), issuer)


@pytest.mark.parametrize("text", ["spiffe://example.org/web/", "spiffe://Example.org/web", "spiffe://example.org/../x"])
def test_the_linter_knows_the_grammar_by_itself(case, text):
    order, wanted, issuer = case

    class Lying:
        def __str__(self):
            return text

    with pytest.raises(RefusedError, match="no SPIFFE ID"):
        lint(
            build(with_extension(wanted, SAN([URI(text), DNS]))), dataclasses.replace(order, spiffe_id=Lying()), issuer
        )


@pytest.mark.parametrize("kind", [Kind.ROOT, Kind.INTERMEDIATE])
@pytest.mark.parametrize(
    "change",
    [
        lambda t: with_extension(t, BC(ca=False, path_length=None)),
        lambda t: with_extension(t, BC(ca=True, path_length=None)),
        lambda t: with_extension(t, key_usage("key_cert_sign", "crl_sign", "digital_signature")),
        lambda t: with_extension(t, EKU([ExtendedKeyUsageOID.SERVER_AUTH])),
        lambda t: with_extension(t, SAN([URI("spiffe://example.org/web")])),
        lambda t: dataclasses.replace(t, subject=x509.Name([])),
        lambda t: without(t, SKI.oid),
    ],
)
def test_19_20_24_25_a_wrong_authority_is_found(signer, kind, change):
    issuer = None if kind is Kind.ROOT else signer.authority.bundle.roots[0]
    order = Order(kind, parse("spiffe://example.org"), public_key_of(csr()), 86_400)
    facts = None if issuer is None else IssuerFacts.of(issuer)
    wanted = template(order, facts, now=START, backdate_s=60, serial=x509.random_serial_number())
    side = None if issuer is None else IssuerSide.of(issuer)
    lint(build(wanted), order, side)
    with pytest.raises(RefusedError):
        lint(build(change(wanted)), order, side)


def test_the_linter_shares_no_code_with_the_profile():
    names = {
        name.module if isinstance(name, ast.ImportFrom) else alias.name
        for name in ast.walk(ast.parse(inspect.getsource(linter)))
        if isinstance(name, ast.Import | ast.ImportFrom)
        for alias in name.names
    }
    ours = {name for name in names if name.split(".")[0] in {"ca", "xds"}}
    assert ours == {"ca.errors", "ca.identity.order", "ca.signer"}, "of ca.signer: der"
    assert profile.__name__ not in names
