"""The authority's keys and certificates on the disk: one file an authority, and one that says which are in use.

A file holds a certificate together with its sealed key, so there is never one without the other. The state names the
files that count; a file that it does not name is the rest of a step that broke off, and is removed.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import ConfigError, LocalError
from ca.identity.bundle import key_identifier
from ca.identity.order import Kind, spki_sha256
from ca.signer import files
from ca.signer.key import KeyEncryptionKey, Sealed, SigningKey, public_bytes

SCHEMA: Final = 1
STATE: Final = "state.json"

RECOVERY: Final = (
    "Nothing was changed and no new root was made. Restore the data directory from a backup; or, to begin anew with a "
    "new root that every node must be enrolled with again, move the whole data directory aside"
)


@dataclass(frozen=True, slots=True)
class Stored:
    """An authority: certificate and key, and when it was issued."""

    kind: Kind
    certificate: x509.Certificate
    key: SigningKey
    issued_at: datetime

    @property
    def id(self) -> str:
        """Hex of the subject key identifier."""
        return key_identifier(self.certificate).hex()

    @property
    def spki(self) -> str:
        """SHA-256 of its public key."""
        return spki_sha256(self.key.public_key)


@dataclass(frozen=True, slots=True)
class State:
    """Which authorities count."""

    trust_domain: str
    sequence: int
    """Of the bundle; grows with each change of its content."""
    roots: tuple[str, ...]
    active_root: str
    active_intermediate: str


class KeyStore:
    """One directory (0700) of sealed keys."""

    def __init__(self, directory: Path, kek: KeyEncryptionKey) -> None:
        self.__directory = directory
        self.__kek = kek

    @property
    def directory(self) -> Path:
        """Where it is."""
        return self.__directory

    def put(self, authority: Stored) -> None:
        """Store one authority; it counts once the state names it."""
        clear = _clear(authority)
        sealed = authority.key.sealed(self.__kek, _associated(clear))
        document = {**clear, "kek": self.__kek.identifier, "wrapped": _text(sealed.wrapped), "box": _text(sealed.box)}
        files.write_private(self.__path(authority.id), _document(document))

    def get(self, identifier: str) -> Stored:
        """Read one authority. Raises `ConfigError` and `LocalError`, each saying how to recover."""
        path = self.__path(identifier)
        document = _read(path)
        try:
            certificate = x509.load_der_x509_certificate(_binary(document, "certificate"))
            sealed = Sealed(_binary(document, "wrapped"), _binary(document, "box"))
            kind, issued_at = Kind(document["kind"]), datetime.fromtimestamp(document["issued_at"], UTC)
        except (KeyError, ValueError, TypeError, OverflowError, x509.InvalidVersion) as error:
            raise _damaged(path, f"a field is missing or wrong ({type(error).__name__})") from None
        self.__check_kek(path, document)
        key = self.__unseal(path, sealed, document)
        authority = Stored(kind, certificate, key, issued_at)
        if authority.id != identifier or public_bytes(certificate.public_key()) != public_bytes(key.public_key):
            raise _damaged(path, "the key, the certificate and the file's name do not belong together")
        return authority

    def put_state(self, state: State) -> None:
        """Name what counts: the instant at which a step has happened."""
        clear = {
            "schema": SCHEMA,
            "trust_domain": state.trust_domain,
            "sequence": state.sequence,
            "roots": list(state.roots),
            "active_root": state.active_root,
            "active_intermediate": state.active_intermediate,
        }
        code = self.__kek.authentication_code(_canonical(clear))
        files.write_private(self.__directory / STATE, _document({**clear, "kek": self.__kek.identifier, "mac": code}))

    def get_state(self) -> State:
        """Read what counts. Raises `ConfigError` and `LocalError`, each saying how to recover."""
        path = self.__directory / STATE
        document = _read(path)
        self.__check_kek(path, document)
        clear = {name: value for name, value in document.items() if name not in {"kek", "mac"}}
        code = self.__kek.authentication_code(_canonical(clear))
        if not hmac.compare_digest(code, str(document.get("mac"))):
            raise _damaged(path, "it was changed by something else than the signer")
        try:
            return State(
                trust_domain=str(clear["trust_domain"]),
                sequence=int(clear["sequence"]),
                roots=tuple(clear["roots"]),
                active_root=str(clear["active_root"]),
                active_intermediate=str(clear["active_intermediate"]),
            )
        except (KeyError, ValueError, TypeError):
            raise _damaged(path, "a field is missing or wrong") from None

    def remove(self, identifier: str) -> None:
        """Destroy an authority's key."""
        files.remove(self.__path(identifier))

    def remove_others(self, state: State) -> list[str]:
        """Remove what the state does not name: the rest of a step that broke off. Returns the names."""
        keep = {STATE, *(f"{identifier}.json" for identifier in (*state.roots, state.active_intermediate))}
        others = sorted(path.name for path in self.__directory.iterdir() if path.name not in keep)
        for name in others:
            files.remove(self.__directory / name)
        return others

    def __unseal(self, path: Path, sealed: Sealed, document: Mapping[str, Any]) -> SigningKey:
        clear = {name: document.get(name) for name in ("schema", "id", "kind", "issued_at", "spki", "certificate")}
        try:
            return SigningKey.unsealed(sealed, self.__kek, _associated(clear))
        except LocalError as error:
            raise _damaged(path, str(error)) from None

    def __check_kek(self, path: Path, document: Mapping[str, Any]) -> None:
        if document.get("kek") != self.__kek.identifier:
            raise ConfigError(
                f"{path} was sealed with another key-encryption key (identifier {str(document.get('kek'))[:16]}, this "
                f"one is {self.__kek.identifier}): give the right one: `ca.kek` in legation.yaml (--kek). {RECOVERY}"
            )

    def __path(self, identifier: str) -> Path:
        return self.__directory / f"{identifier}.json"


def _clear(authority: Stored) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "id": authority.id,
        "kind": str(authority.kind),
        "issued_at": int(authority.issued_at.timestamp()),
        "spki": authority.spki,
        "certificate": _text(authority.certificate.public_bytes(Encoding.DER)),
    }


def _associated(clear: Mapping[str, Any]) -> bytes:
    return b"legation authority\0" + _canonical(clear)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _document(value: object) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=True).encode() + b"\n"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _binary(document: Mapping[str, Any], name: str) -> bytes:
    return base64.b64decode(document[name], validate=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(files.read_private(path))
    except FileNotFoundError:
        raise _damaged(path, "it is missing") from None
    except ValueError:
        raise _damaged(path, "it is not JSON") from None
    if not isinstance(document, dict):
        raise _damaged(path, "it is not what a signer writes")
    schema = document.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise ConfigError(
            f"{path} has schema {schema}, of a newer version; this one reads up to {SCHEMA}: run the newer one"
        )
    if schema != SCHEMA:
        raise _damaged(path, "its schema version is wrong")
    return document


def _damaged(path: Path, what: str) -> LocalError:
    return LocalError(f"the key store is damaged: {path}: {what}. {RECOVERY}")
