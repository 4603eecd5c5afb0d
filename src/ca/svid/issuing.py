"""From an order to a certificate in hand: key, CSR, the signer, and a check of all that came back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from cryptography import x509

from ca.identity.bundle import Bundle
from ca.identity.chain import verify_chain
from ca.svid.errors import UnfitCertificateError
from ca.svid.holder import Holder, LeafKey
from ca.svid.schedule import Life
from ca.svid.signer_client import SignerClient
from ca.svid.trust import Trust
from xds.names import SpiffeId


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask the signer for. `node` says on whose behalf, for a workload; for a node it is its name."""

    kind: Literal["leaf", "node", "server"]
    spiffe_id: SpiffeId
    node: str = ""
    ttl_s: int = 0
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()

    @classmethod
    def of_node(cls, trust_domain: str, node: str) -> Order:
        """The certificate with which a node meets our servers. Raises `InvalidSpiffeId`."""
        return cls("node", SpiffeId.for_node(trust_domain, node), node)

    @classmethod
    def of_server(
        cls, trust_domain: str, server: str, dns_names: tuple[str, ...], ip_addresses: tuple[str, ...]
    ) -> Order:
        """The certificate of one of our own listeners: `spiffe://TD/cp/SERVER`."""
        spiffe_id = SpiffeId.parse(f"spiffe://{trust_domain}/cp/{server}")
        return cls("server", spiffe_id, dns_names=dns_names, ip_addresses=ip_addresses)

    @property
    def verb(self) -> str:
        """The signer's verb for it."""
        return "sign_leaf" if self.kind == "leaf" else "sign_node"

    def fields(self, csr_der: bytes) -> dict[str, Any]:
        """The verb's fields."""
        if self.kind == "node":
            return {"csr_der": csr_der, "node": self.node}
        names = {"dns_names": self.dns_names}
        if self.kind == "server":
            server = self.spiffe_id.path.removeprefix("/cp/")
            return {"csr_der": csr_der, "server": server, "ip_addresses": self.ip_addresses, **names}
        return {"csr_der": csr_der, "spiffe_id": str(self.spiffe_id), "node": self.node, "ttl_s": self.ttl_s, **names}


class Issuer:
    """Carries out orders. Raises `SignerUnavailableError`, `SignerRefusedError` or `UnfitCertificateError`."""

    def __init__(self, client: SignerClient, trust: Trust, wall: Callable[[], datetime]) -> None:
        self._client = client
        self._trust = trust
        self._wall = wall

    async def issue(self, order: Order) -> Holder:
        """A fresh key (identity 52) and its certificate, checked (identity 72)."""
        key = LeafKey()
        signed: Any = await self._client.sign(order.verb, order.fields(key.csr_der()))
        bundle = self._trust.learn(signed.bundle)
        return accept(order, key, signed, bundle, self._wall())

    async def refresh_trust(self) -> Any:
        """Ask for the bundle, for who waits for no certificate (identity 95); the signer's whole answer."""
        state: Any = await self._client.state()
        self._trust.learn(state.bundle)
        return state


def accept(order: Order, key: LeafKey, signed: Any, bundle: Bundle, now: datetime) -> Holder:
    """The holder that an answer makes: chain, key, identity, names and time must fit. Raises what does not."""
    chain_der = tuple(bytes(der) for der in signed.chain_der)
    try:
        chain = [x509.load_der_x509_certificate(der) for der in chain_der]
    except ValueError as error:
        raise UnfitCertificateError("the signer answered something that is no certificate") from error
    if not chain:
        raise UnfitCertificateError("the signer answered without a certificate")
    _check_leaf(order, key, chain[0])
    verify_chain(chain[0], chain[1:], bundle, now)
    life = Life(chain[0].serial_number, float(signed.issued_at_s), chain[0].not_valid_after_utc.timestamp())
    if life.expired(now.timestamp()) or life.length_s <= 0:
        raise UnfitCertificateError(f"the certificate for {order.spiffe_id} has ended already; compare the clocks")
    return Holder(key, chain_der, order.spiffe_id, life, truncated=signed.truncated)


def _check_leaf(order: Order, key: LeafKey, leaf: x509.Certificate) -> None:
    if not key.matches(leaf):
        raise UnfitCertificateError(f"the certificate for {order.spiffe_id} is for another key")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if names.get_values_for_type(x509.UniformResourceIdentifier) != [str(order.spiffe_id)]:
        raise UnfitCertificateError(f"the certificate that was answered for {order.spiffe_id} is for another identity")
    if set(names.get_values_for_type(x509.DNSName)) != set(order.dns_names):
        raise UnfitCertificateError(f"the certificate for {order.spiffe_id} has other DNS names than were asked for")
