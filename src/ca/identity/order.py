"""What is to be certified: the request after every check of policy, before there is a certificate."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ca.identity.spiffe import IpAddress, SpiffeId

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Kind(enum.StrEnum):
    """What a certificate is for."""

    WORKLOAD = "workload"
    NODE = "node"
    SERVER = "server"
    INTERMEDIATE = "intermediate"
    ROOT = "root"

    @property
    def signs(self) -> bool:
        """True for certificates of the authority itself."""
        return self in {Kind.INTERMEDIATE, Kind.ROOT}


@dataclass(frozen=True, slots=True)
class Order:
    """One certificate that is wanted. The profile makes a template of it, the linter compares the result with it."""

    kind: Kind
    spiffe_id: SpiffeId
    public_key: PublicKey
    ttl_s: int
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[IpAddress, ...] = ()
    node: str = ""
    """On whose behalf, for the journal."""
    request_id: str = ""
    spki_sha256: str = field(init=False)
    """Names the key; computed once, because everybody asks for it."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "spki_sha256", spki_sha256(self.public_key))


def spki_sha256(public_key: PublicKey) -> str:
    """SHA-256 of a public key (SubjectPublicKeyInfo), in hex."""
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
