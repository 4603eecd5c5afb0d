"""Which SPIFFE ID may be certified for whom. The grammar itself has its home in `xds.names`."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from ca.errors import Code, RefusedError
from xds.names import InvalidSpiffeId, SpiffeId, check_trust_domain, shown

__all__ = [
    "SERVERS",
    "InvalidSpiffeId",
    "SpiffeId",
    "authority_id",
    "check_dns_name",
    "check_trust_domain",
    "node_id",
    "parse",
    "read_ip_address",
    "server_id",
    "shown",
    "workload_id",
]

SERVERS: Final = frozenset({"xds", "ca"})
"""Our own servers: `spiffe://TD/cp/xds` and `spiffe://TD/cp/ca`."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*", re.ASCII)
_DNS_NAME_CHARS_MAX = 253


def parse(text: str) -> SpiffeId:
    """Read an ID in canonical form. Raises `RefusedError`."""
    try:
        return SpiffeId.parse(text)
    except InvalidSpiffeId as error:
        raise RefusedError(Code.SPIFFE_ID, f"the SPIFFE ID {error}") from None


def workload_id(text: str, trust_domain: str) -> SpiffeId:
    """Identity that a workload may have: of our trust domain, with a path, not below `/cp` (identity 3, 4, 61)."""
    spiffe_id = parse(text)
    if spiffe_id.trust_domain != trust_domain:
        raise RefusedError(
            Code.TRUST_DOMAIN,
            f"{shown(text)} is of another trust domain; this authority issues for spiffe://{trust_domain}/… only",
        )
    if not spiffe_id.path:
        raise RefusedError(
            Code.SPIFFE_ID,
            f"{shown(text)} has no path: it names the trust domain, and a workload needs a name below it",
        )
    if spiffe_id.reserved:
        raise RefusedError(
            Code.RESERVED_PATH,
            f"{shown(text)} is reserved for the control plane and its nodes: choose a path outside /cp",
        )
    return spiffe_id


def node_id(node: str, trust_domain: str) -> SpiffeId:
    """Identity of a node, `spiffe://TD/cp/node/NAME`. Raises `RefusedError`."""
    try:
        return SpiffeId.for_node(trust_domain, node)
    except InvalidSpiffeId as error:
        raise RefusedError(Code.NAME, f"the node's name {error}") from None


def server_id(server: str, trust_domain: str) -> SpiffeId:
    """Identity of one of our own servers. Raises `RefusedError`."""
    if server not in SERVERS:
        known = ", ".join(sorted(SERVERS))
        raise RefusedError(Code.NAME, f"{shown(server)} is none of our servers ({known})")
    return SpiffeId(trust_domain, f"/cp/{server}")


def authority_id(trust_domain: str) -> SpiffeId:
    """Identity of a signing certificate: the trust domain itself (identity 20)."""
    return SpiffeId(trust_domain, "")


def check_dns_name(name: str) -> str:
    """Accept a DNS name in lower case, without wildcard. Raises `RefusedError`."""
    if len(name) > _DNS_NAME_CHARS_MAX or _DNS_NAME.fullmatch(name) is None or name.replace(".", "").isdigit():
        raise RefusedError(
            Code.NAME,
            f"{shown(name)} is no DNS name (lower-case letters, digits and hyphens between dots, no wildcard)",
        )
    return name


def read_ip_address(text: str) -> IpAddress:
    """Read an IP address, without zone or prefix length. Raises `RefusedError`."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise RefusedError(Code.NAME, f"{shown(text)} is no IP address") from None
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise RefusedError(Code.NAME, f"{shown(text)} has a zone, which a certificate cannot hold")
    return address
