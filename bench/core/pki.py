"""Throw-away certificates for runs with TLS: one root, one server, one client; gone with their directory."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRUST_DOMAIN = "bench.legation"
LIFE = dt.timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Tls:
    """File names `certificate`, `key`, `ca` of either side, and `parent`, the directory that holds `current`."""

    server: Mapping[str, str]
    client: Mapping[str, str]


@contextmanager
def throwaway() -> Iterator[Tls]:
    """Certificates for the length of the block."""
    with TemporaryDirectory(prefix="bench-pki-") as name:
        directory = Path(name)
        root_key = ec.generate_private_key(ec.SECP256R1())
        root = _certificate("bench root", root_key, None, root_key, authority=True)
        (directory / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
        sides = {}
        for side, path in (("server", "/cp/xds"), ("client", "/cp/node/bench")):
            key = ec.generate_private_key(ec.SECP256R1())
            leaf = _certificate(side, key, root, root_key, uri=f"spiffe://{TRUST_DOMAIN}{path}")
            sides[side] = _write(directory, side, key, leaf)
        yield Tls(sides["server"], sides["client"])


def _write(directory: Path, side: str, key: ec.EllipticCurvePrivateKey, leaf: x509.Certificate) -> dict[str, str]:
    """Write a side's files as the product's servers expect them: in a directory behind the link `current`."""
    made, parent = directory / f"{side}-1", directory / side
    made.mkdir(mode=0o700)
    parent.mkdir()
    (parent / "current").symlink_to(made)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (made / "key.pem").write_bytes(secret)
    (made / "cert.pem").write_bytes(leaf.public_bytes(pem))
    (made / "ca.pem").write_bytes((directory / "ca.pem").read_bytes())
    files = {name: str(made / f"{stem}.pem") for name, stem in (("certificate", "cert"), ("key", "key"), ("ca", "ca"))}
    return files | {"parent": str(parent)}


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
    uri: str | None = None,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(_usage(authority=authority), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if uri is not None:
        names = [
            x509.UniformResourceIdentifier(uri),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
