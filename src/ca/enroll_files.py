"""The files of one node: certificate, key and roots as one set, and the SDS files with which Envoy reads them.

`DIR/NAME/current` is renamed over; Envoy watches `DIR/NAME`, where that happens (facts 12).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from ca.errors import LocalError
from ca.svid import directory
from ca.svid.holder import Holder
from ca.svid.schedule import Life
from xds.names import SECRET, InvalidSpiffeId, SpiffeId

CERTIFICATE: Final = "tls_certificate"
VALIDATION: Final = {"xds": "xds_validation", "ca": "ca_validation"}
"""Names of the secrets, and of their files; bootstraps name them. One context a server, so that neither can pose as the
other, and none can be used without its matcher."""

_META: Final = "meta.json"
_SET: Final = ("cert.pem", "key.pem", "ca.pem")


class NodeFiles:
    """One node's directory."""

    def __init__(self, out: Path, trust_domain: str, name: str) -> None:
        self.name = name
        self.trust_domain = trust_domain
        self.path = out / name
        self._current = self.path / directory.CURRENT

    @property
    def exist(self) -> bool:
        """True where the node was enrolled here."""
        return self._current.is_dir()

    def write(self, holder: Holder, ca_pem: bytes) -> None:
        """Make this certificate the node's. Raises `LocalError`."""
        directory.make_private(self.path)
        files = {"cert.pem": holder.chain_pem(), "key.pem": holder.key_pem(), "ca.pem": ca_pem}
        directory.publish(self.path, files | {_META: _meta(holder)})
        self.write_sds()

    def write_roots(self, ca_pem: bytes) -> bool:
        """Make these the roots, with the certificate as it is. False if they are already. Raises `LocalError`."""
        try:
            files = {name: (self._current / name).read_bytes() for name in (*_SET, _META)}
        except OSError:
            return False  # an incomplete set is replaced as a whole: `life` finds none
        if files["ca.pem"] == ca_pem:
            return False
        directory.publish(self.path, files | {"ca.pem": ca_pem})
        return True

    def write_sds(self) -> None:
        """The SDS files; after the set, so that Envoy never finds a name without a file. Raises `LocalError`."""
        for name, secret in sds_secrets(self.path, self.trust_domain).items():
            path, data = self.path / f"{name}.json", _resources(secret)
            if not path.is_file() or path.read_bytes() != data:
                directory.write_file(path, data)

    def life(self) -> Life | None:
        """Of the certificate that is there; None where there is none that could be used."""
        try:
            leaf = x509.load_pem_x509_certificate((self._current / "cert.pem").read_bytes())
            complete = all((self._current / name).stat().st_size for name in _SET)
        except (OSError, ValueError):
            return None
        return (
            Life(leaf.serial_number, self._issued_at(leaf), leaf.not_valid_after_utc.timestamp()) if complete else None
        )

    def _issued_at(self, leaf: x509.Certificate) -> float:
        """From our own note; the certificate itself says only when it begins, which is earlier by the backdate."""
        try:
            meta = json.loads((self._current / _META).read_bytes())
            issued_at_s = float(meta["issued_at_s"])
        except (OSError, ValueError, KeyError, TypeError):
            return leaf.not_valid_before_utc.timestamp()
        begin_s, end_s = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        fits = meta.get("serial") == f"{leaf.serial_number:x}" and begin_s <= issued_at_s < end_s
        return issued_at_s if fits else begin_s


def enrolled(out: Path, trust_domain: str) -> dict[str, NodeFiles]:
    """Every node that was enrolled below the directory. Raises `LocalError`."""
    try:
        names = sorted(entry.name for entry in out.iterdir() if entry.is_dir() and _is_node(entry.name, trust_domain))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise LocalError(f"cannot read {out}: {error.strerror or error}") from error
    found = {name: NodeFiles(out, trust_domain, name) for name in names}
    return {name: files for name, files in found.items() if files.exist}


def sds_secrets(path: Path, trust_domain: str) -> dict[str, dict[str, Any]]:
    """The secrets. Peers are the control plane's own servers and nobody else of the trust domain (identity 110)."""
    current = path.absolute() / directory.CURRENT
    watched = {"watched_directory": {"path": str(path.absolute())}}
    certificate = {
        "certificate_chain": {"filename": str(current / "cert.pem")},
        "private_key": {"filename": str(current / "key.pem")},
    }
    secrets: dict[str, dict[str, Any]] = {CERTIFICATE: {"name": CERTIFICATE, "tls_certificate": certificate | watched}}
    for server, name in VALIDATION.items():
        matcher = {"san_type": "URI", "matcher": {"exact": str(SpiffeId(trust_domain, f"/cp/{server}"))}}
        validation = {
            "trusted_ca": {"filename": str(current / "ca.pem")},
            "match_typed_subject_alt_names": [matcher],
        }
        secrets[name] = {"name": name, "validation_context": validation | watched}
    return secrets


def _resources(secret: Mapping[str, Any]) -> bytes:
    return json.dumps({"resources": [{"@type": SECRET, **secret}]}, indent=2).encode() + b"\n"


def _meta(holder: Holder) -> bytes:
    life = holder.life
    meta = {
        "spiffe_id": str(holder.spiffe_id),
        "serial": holder.serial,
        "issued_at_s": life.issued_at_s,
        "rotate_at": datetime.fromtimestamp(life.rotate_at_s, UTC).isoformat(timespec="seconds"),
        "not_after": datetime.fromtimestamp(life.not_after_s, UTC).isoformat(timespec="seconds"),
    }
    return json.dumps(meta, indent=2).encode() + b"\n"


def _is_node(name: str, trust_domain: str) -> bool:
    try:
        SpiffeId.for_node(trust_domain, name)
    except InvalidSpiffeId:
        return False
    return True
