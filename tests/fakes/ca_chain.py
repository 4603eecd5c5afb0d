"""Certificates as an attacker or a foreign authority would make them: any extension, any key, no profile."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def key_usage(*names: str) -> x509.KeyUsage:
    every = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: name in names for name in every})


@dataclass
class Made:
    """A certificate and the key of its subject."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def make(
    issuer: Made | None = None,
    *,
    name: str = "",
    uris=(),
    ca: bool = False,
    path_length: int | None = None,
    usage: x509.KeyUsage | None = None,
    begin: datetime = NOW - timedelta(hours=1),
    end: datetime = NOW + timedelta(hours=1),
    extra=(),
    key=None,
) -> Made:
    """A certificate, self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])
    usage = usage or (key_usage("key_cert_sign", "crl_sign") if ca else key_usage("digital_signature"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not name)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    return Made(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def root(name: str = "root", **options) -> Made:
    return make(name=name, ca=True, **options)


def intermediate(issuer: Made, name: str = "intermediate", **options) -> Made:
    options.setdefault("path_length", 0)
    return make(issuer, name=name, ca=True, **options)
