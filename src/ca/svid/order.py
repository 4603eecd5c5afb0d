"""What to ask the signer for, as a value: the rotator's state machine holds it, `issuing` carries it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

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
