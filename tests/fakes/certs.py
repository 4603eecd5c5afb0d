"""Certificates for tests, made with `cryptography` and not with our own CA: an independent second opinion."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_NOT_BEFORE = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_NOT_AFTER = dt.datetime(2049, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True)
class Pair:
    """A certificate (with its chain) and its key, as PEM."""

    cert_pem: bytes
    key_pem: bytes
    serial: int


@dataclass
class Authority:
    """A root that issues leafs, and intermediates."""

    trust_domain: str = "td.test"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"root of {self.trust_domain}")])
        self.cert = _signed(
            self.name, self.name, self.key.public_key(), self.key, ca=True, uris=[f"spiffe://{self.trust_domain}"]
        )
        self.ca_pem = self.cert.public_bytes(serialization.Encoding.PEM)

    def leaf(
        self,
        *uris: str,
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        ca: bool = False,
        not_before: dt.datetime = _NOT_BEFORE,
        not_after: dt.datetime = _NOT_AFTER,
    ) -> Pair:
        """A certificate with these URI SANs; `ca=True` makes it an issuing one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "intermediate")]) if ca else x509.Name([])
        cert = _signed(
            subject,
            self.name,
            key.public_key(),
            self.key,
            ca=ca,
            uris=uris,
            dns=dns,
            ips=ips,
            not_before=not_before,
            not_after=not_after,
        )
        return Pair(
            cert.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
            cert.serial_number,
        )

    def node(self, name: str) -> Pair:
        """The certificate of a node."""
        return self.leaf(f"spiffe://{self.trust_domain}/cp/node/{name}")

    def server(self, name: str = "xds") -> Pair:
        """The certificate of one of our servers, on loopback."""
        return self.leaf(f"spiffe://{self.trust_domain}/cp/{name}", dns=["localhost"], ips=["127.0.0.1"])


def _signed(
    subject,
    issuer,
    public_key,
    issuer_key,
    *,
    ca,
    uris=(),
    dns=(),
    ips=(),
    not_before=_NOT_BEFORE,
    not_after=_NOT_AFTER,
) -> x509.Certificate:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(name) for name in dns]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ips]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(_usage(ca=ca), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not list(subject))
    if not ca:
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,  # BoringSSL uses no certificate without it, and a thief would not leave it out
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
