"""A real authority in a temporary directory, under a clock that the test moves; and signing requests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca.identity.lifetimes import Lifetimes
from ca.signer import files
from ca.signer.authority import Authority, Setting, open_authority
from ca.signer.issuer import Issued
from ca.signer.journal import Journal
from ca.signer.verbs import LeafRequest, NodeRequest, Verbs

START = datetime(2026, 6, 1, 12, 0, 0, 250_000, UTC)
TRUST_DOMAIN = "example.org"


class Wall:
    """A wall clock that stands still until it is moved."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **time: float) -> datetime:
        self.now += timedelta(**time)
        return self.now


@dataclass
class Signer:
    """The inside of the signer process, without its socket."""

    setting: Setting
    wall: Wall
    journal: Journal
    authority: Authority
    kek_source: str
    verbs: Verbs

    def leaf(self, spiffe_id: str = "spiffe://example.org/web", **fields) -> Issued:
        (answer,) = self.verbs.sign([leaf_request(spiffe_id, **fields)], self.wall())
        if not isinstance(answer, Issued):
            raise answer
        return answer

    def node(self, **fields) -> Issued:
        (answer,) = self.verbs.sign([node_request(**fields)], self.wall())
        if not isinstance(answer, Issued):
            raise answer
        return answer

    def close(self) -> None:
        self.journal.close()


def setting(directory: Path, *, kek: Path | None = None, trust_domain: str = TRUST_DOMAIN, **lifetimes: int) -> Setting:
    return Setting(directory / "data", trust_domain, Lifetimes(**lifetimes).checked(), kek)


def start(a_setting: Setting, wall: Wall | None = None) -> Signer:
    """What the process does between its arguments and its socket."""
    wall = wall or Wall()
    files.make_directory(a_setting.data_dir, private=False)
    journal = Journal(a_setting.data_dir / "journal", wall)
    try:
        authority, source = open_authority(a_setting, journal, wall())
        verbs = Verbs(authority, a_setting.trust_domain, a_setting.lifetimes, journal.rows())
    except BaseException:
        journal.close()
        raise
    return Signer(a_setting, wall, journal, authority, source, verbs)


_numbers = itertools.count(1)


def csr(key=None, *, subject: str = "", extensions=()) -> bytes:
    """A signing request, DER, of a new P-256 key unless one is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, subject)] if subject else [])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def leaf_request(spiffe_id: str = "spiffe://example.org/web", **fields) -> LeafRequest:
    fields.setdefault("request_id", f"leaf-{next(_numbers)}")
    fields.setdefault("node", "web-1")
    if "csr_der" not in fields:
        fields["csr_der"] = csr()
    return LeafRequest(spiffe_id=spiffe_id, **fields)


def node_request(**fields) -> NodeRequest:
    fields.setdefault("request_id", f"node-{next(_numbers)}")
    if "csr_der" not in fields:
        fields["csr_der"] = csr()
    if "server" not in fields:
        fields.setdefault("node", "web-1")
    return NodeRequest(**fields)


def pem(certificates_der) -> bytes:
    """DER certificates as one PEM text."""
    return b"".join(
        x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM) for der in certificates_der
    )
