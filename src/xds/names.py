"""The vocabulary: type URLs, services, and the grammar of a SPIFFE ID. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "type.googleapis.com/"

LISTENER: Final = PREFIX + "envoy.config.listener.v3.Listener"
ROUTE: Final = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPED_ROUTE: Final = PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST: Final = PREFIX + "envoy.config.route.v3.VirtualHost"
CLUSTER: Final = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
EXTENSION: Final = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
RUNTIME: Final = PREFIX + "envoy.service.runtime.v3.Runtime"
SECRET: Final = PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"

SHORT: Final = {
    LISTENER: "LDS",
    ROUTE: "RDS",
    CLUSTER: "CDS",
    ENDPOINT: "EDS",
    SECRET: "SDS",
}
"""What operators call a type; also the label of its metrics."""

SPIFFE_ID_BYTES_MAX: Final = 2048
TRUST_DOMAIN_BYTES_MAX: Final = 255
NODE_PATH: Final = "/cp/node/"
"""Path prefix of node identities; `/cp/` is reserved, no workload gets a path below it (identity 61)."""

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]+", re.ASCII)
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)
_NODE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,126}", re.ASCII)


class InvalidSpiffeId(ValueError):  # noqa: N818 (it names what is wrong, as `ValueError` does)
    """The text is not a canonical SPIFFE ID. The message says why, and shows the text escaped and cut."""


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """A SPIFFE ID in canonical form (SPIFFE-ID.md section 2); anything else is refused, nothing is normalised."""

    trust_domain: str
    path: str
    """Empty (the trust domain itself) or `/a/b`."""

    @classmethod
    def parse(cls, text: str) -> SpiffeId:
        """Read an ID. Raises `InvalidSpiffeId`."""
        if len(text.encode("utf-8", "surrogatepass")) > SPIFFE_ID_BYTES_MAX:
            raise InvalidSpiffeId(f"longer than {SPIFFE_ID_BYTES_MAX} bytes: {shown(text)}")
        if not text.startswith("spiffe://"):
            raise InvalidSpiffeId(f"does not begin with spiffe:// (lower case): {shown(text)}")
        trust_domain, slash, rest = text[len("spiffe://") :].partition("/")
        check_trust_domain(trust_domain)
        if slash:
            for segment in rest.split("/"):
                if segment in {"", ".", ".."}:
                    raise InvalidSpiffeId(f"has an empty or relative path segment: {shown(text)}")
                if _SEGMENT.fullmatch(segment) is None:
                    raise InvalidSpiffeId(f"has a path character outside a-z A-Z 0-9 . _ -: {shown(text)}")
        return cls(trust_domain, slash + rest)

    @classmethod
    def for_node(cls, trust_domain: str, node: str) -> SpiffeId:
        """Identity of the node of that name: `spiffe://TD/cp/node/NAME`. Raises `InvalidSpiffeId`."""
        if _NODE_NAME.fullmatch(node) is None:
            raise InvalidSpiffeId(f"is no node name (letters, digits, . _ -, at most 127): {shown(node)}")
        return cls.parse(f"spiffe://{trust_domain}{NODE_PATH}{node}")

    @property
    def node_name(self) -> str | None:
        """The node's name, where this is the identity of a node."""
        name = self.path.removeprefix(NODE_PATH)
        return name if name != self.path and _NODE_NAME.fullmatch(name) is not None else None

    @property
    def reserved(self) -> bool:
        """True below `/cp`: control plane and nodes."""
        return self.path == "/cp" or self.path.startswith("/cp/")

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}{self.path}"


def check_trust_domain(trust_domain: str) -> None:
    """Raise `InvalidSpiffeId` unless the text is a trust domain name."""
    if len(trust_domain) > TRUST_DOMAIN_BYTES_MAX:
        raise InvalidSpiffeId(f"trust domain is longer than {TRUST_DOMAIN_BYTES_MAX} bytes: {shown(trust_domain)}")
    if _TRUST_DOMAIN.fullmatch(trust_domain) is None:
        raise InvalidSpiffeId(f"trust domain is empty or has a character outside a-z 0-9 . _ -: {shown(trust_domain)}")


def shown(text: str, length_max: int = 128) -> str:
    """Text from outside, fit for one line of a log: escaped and cut."""
    cut = text if len(text) <= length_max else text[:length_max] + "…"
    return ascii(cut)
