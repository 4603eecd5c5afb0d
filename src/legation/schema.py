"""Every key of `legation.yaml`, in one table: the parser, the reference page and the error messages read it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Kind(enum.Enum):
    """What a value may be; the text is what people read."""

    TRUST_DOMAIN = "trust domain"
    PATH = "path"
    ADDRESS = "HOST:PORT"
    DURATION = "duration"
    NAMES = "list of names"
    LEVEL = "debug, info, warning or error"
    FORMAT = "text or json"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `default` is written as in the file; None: not set."""

    name: str
    kind: Kind
    default: str | tuple[str, ...] | None
    doc: str
    optional: bool = False
    """True: `null` switches it off."""

    @property
    def attribute(self) -> str:
        """The field of `Settings` that holds it."""
        return self.name.replace(".", "_")


SECTIONS: Final = {
    "xds": "The management server: listeners, routes, clusters and endpoints.",
    "sds": "The secret server, a process of its own.",
    "http": "Health and metrics over plain HTTP: `/healthz`, `/readyz`, `/metrics`.",
    "ca": "Lifetimes of certificates, and the key that encrypts the key store.",
    "log": "Logs go to standard error.",
}

KEYS: Final = (
    Key(
        "trust_domain",
        Kind.TRUST_DOMAIN,
        "legation.local",
        "The SPIFFE trust domain that this control plane issues for.",
    ),
    Key(
        "data_dir",
        Kind.PATH,
        "legation-data",
        "Key store, journal, sockets and the files of local nodes. Made with mode 0700 if it is missing. One "
        "control plane per directory.",
    ),
    Key(
        "resources",
        Kind.PATH,
        "resources",
        "Directory of resource files (YAML, JSON, Python). The default directory is made if it is missing; "
        "one that the file names must exist.",
    ),
    Key(
        "entries",
        Kind.PATH,
        "entries",
        "Directory of registration entries: which node may have which SVID. The default directory is made if "
        "it is missing; one that the file names must exist.",
    ),
    Key(
        "server_names",
        Kind.NAMES,
        (),
        "Names and addresses under which Envoys reach this machine; they become SANs of the servers' "
        "certificates. `localhost` and 127.0.0.1 always are.",
    ),
    Key(
        "xds.listen",
        Kind.ADDRESS,
        "127.0.0.1:18100",
        "xDS with mutual TLS.",
    ),
    Key(
        "xds.plaintext",
        Kind.ADDRESS,
        None,
        "xDS without TLS and without identity, for experiments. Loopback only, and off unless it is set.",
        optional=True,
    ),
    Key(
        "sds.listen",
        Kind.ADDRESS,
        "127.0.0.1:18101",
        "SDS with mutual TLS.",
    ),
    Key(
        "http.xds",
        Kind.ADDRESS,
        "127.0.0.1:18110",
        "Health and metrics of xds.",
        optional=True,
    ),
    Key(
        "http.ca",
        Kind.ADDRESS,
        "127.0.0.1:18111",
        "Health and metrics of ca.",
        optional=True,
    ),
    Key(
        "ca.leaf_ttl",
        Kind.DURATION,
        "1h",
        "Life of an SVID, where its entry does not say otherwise. At most a sixth of `ca.intermediate_ttl`.",
    ),
    Key(
        "ca.intermediate_ttl",
        Kind.DURATION,
        "7d",
        "Life of the issuing certificate; a new one, with a new key, is made at half of it. At most a sixth "
        "of `ca.root_ttl`.",
    ),
    Key(
        "ca.root_ttl",
        Kind.DURATION,
        "365d",
        "Life of the root, which is what peers trust.",
    ),
    Key(
        "ca.node_ttl",
        Kind.DURATION,
        "24h",
        "Life of a node's own certificate, with which its Envoy connects to xds and ca.",
    ),
    Key(
        "ca.backdate", Kind.DURATION, "60s", "How far before its issue a certificate begins, for clocks that are slow."
    ),
    Key(
        "ca.kek",
        Kind.PATH,
        None,
        "File with the key-encryption key of the key store (64 hexadecimal digits, mode 0600). Not set: one is made at "
        "`<data_dir>/kek`, which protects copies of the key store only.",
        optional=True,
    ),
    Key(
        "log.level",
        Kind.LEVEL,
        "info",
        "The least severe level that is written.",
    ),
    Key(
        "log.format",
        Kind.FORMAT,
        "text",
        "`text` for people, `json` for machines: one object a line.",
    ),
)
