"""The authority: a root, the intermediate that issues, and its replacement. Made once, renewed by asking the clock."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import ConfigError, LocalError
from ca.identity.bundle import Bundle
from ca.identity.lifetimes import Lifetimes
from ca.identity.order import Kind, Order
from ca.identity.spiffe import authority_id
from ca.signer import files, first_start
from ca.signer.issuer import Issued, Issuer
from ca.signer.journal import Journal, fingerprint
from ca.signer.key import KeyEncryptionKey, SigningKey
from ca.signer.keystore import RECOVERY, KeyStore, State, Stored
from ca.signer.rotation import has_ended, should_renew_intermediate
from xds.logs import event

log = logging.getLogger(__name__)

OWN_KEK_WARNING: Final = "it lies beside the key store, so it protects copies of the store only"


@dataclass(frozen=True, slots=True)
class Setting:
    """What an authority is made with."""

    data_dir: Path
    trust_domain: str
    lifetimes: Lifetimes
    kek: Path | None = None
    """The operator's key-encryption key; None: one is made in the data directory."""
    serials: Callable[[], int] = x509.random_serial_number


class Authority:
    """The active root and intermediate. `tick` asks the clock and replaces the intermediate when it is due."""

    def __init__(self, setting: Setting, store: KeyStore, journal: Journal) -> None:
        """Load what the store's state names. Raises `ConfigError`, `LocalError`."""
        state = store.get_state()
        if state.trust_domain != setting.trust_domain:
            raise ConfigError(
                f"{setting.data_dir} holds the authority of {state.trust_domain}, not of {setting.trust_domain}: "
                "use the right trust domain, or another data directory"
            )
        removed = store.remove_others(state)
        if removed:
            event(log, logging.WARNING, "removed the rest of an unfinished step", files=", ".join(removed))
        self.__setting = setting
        self.__store = store
        self.__journal = journal
        self.__state = state
        self.__roots = tuple(_load(store, identifier, Kind.ROOT) for identifier in state.roots)
        self.__root = next((root for root in self.__roots if root.id == state.active_root), self.__roots[0])
        self.__root_issuer = Issuer(self.__root.key, self.__root.certificate, journal, setting.serials)
        self.__take(_load(store, state.active_intermediate, Kind.INTERMEDIATE))
        self.__bundle = Bundle.build(state.trust_domain, (root.certificate for root in self.__roots), state.sequence)

    @property
    def bundle(self) -> Bundle:
        """What verifies everything that is issued here."""
        return self.__bundle

    @property
    def issuer(self) -> Issuer:
        """The intermediate that issues now."""
        return self.__issuer

    @property
    def authorities(self) -> tuple[Stored, ...]:
        """Every authority that has a key here."""
        return (*self.__roots, self.__intermediate)

    @property
    def key_hashes(self) -> frozenset[str]:
        """SHA-256 of each authority's public key."""
        return self.__key_hashes

    def ended(self, now: datetime) -> bool:
        """True if nothing can be issued before a `tick`."""
        return has_ended(self.__intermediate.certificate.not_valid_after_utc, now)

    def tick(self, now: datetime) -> bool:
        """Replace the intermediate if it is due; True if it was. If that raises `LegationError`, the old one stays."""
        if not should_renew_intermediate(
            self.__intermediate.issued_at, self.__intermediate.certificate.not_valid_after_utc, now
        ):
            return False
        if has_ended(self.__root.certificate.not_valid_after_utc, now):
            raise LocalError(
                f"the root ended at {self.__root.certificate.not_valid_after_utc}: nothing can be issued any more"
            )
        self.__replace_intermediate(now)
        return True

    def __replace_intermediate(self, now: datetime) -> None:
        """Make it, store it, say so, name it in the state, use it, destroy the old one: in this order."""
        old, stored = self.__intermediate, self.__store.get_state()
        if stored == self.__state:
            self.__store.remove_others(stored)
            new = _make_intermediate(self.__setting, self.__root_issuer, now)
            self.__store.put(new)
            self.__journal.event("activate", kind=str(Kind.INTERMEDIATE), id=new.id, replaces=old.id)
            stored = replace(stored, active_intermediate=new.id)
            self.__store.put_state(stored)
        else:  # an attempt before this one got further than it could tell: the disk failed after the rename
            new = _load(self.__store, stored.active_intermediate, Kind.INTERMEDIATE)
        self.__take(new)
        self.__state = stored
        self.__store.remove(old.id)
        not_after = new.certificate.not_valid_after_utc.isoformat()
        event(log, logging.INFO, "intermediate renewed", id=new.id, replaces=old.id, not_after=not_after)

    def __take(self, intermediate: Stored) -> None:
        """Issue from that intermediate from now on, if it is known to chain to the active root."""
        try:
            intermediate.certificate.verify_directly_issued_by(self.__root.certificate)
        except (ValueError, TypeError, InvalidSignature):
            raise LocalError(
                f"the intermediate {intermediate.id} was not issued by the root {self.__root.id}. {RECOVERY}"
            ) from None
        issuer = Issuer(intermediate.key, intermediate.certificate, self.__journal, self.__setting.serials)
        self.__intermediate, self.__issuer = intermediate, issuer
        self.__key_hashes = frozenset(authority.spki for authority in self.authorities)


def open_authority(setting: Setting, journal: Journal, now: datetime) -> tuple[Authority, str]:
    """The authority of a data directory, made if there never was one, and where its key-encryption key is from."""
    found = first_start.look(setting.data_dir, kek_given=setting.kek is not None, journal_began=journal.began())
    action = first_start.decide(found, setting.data_dir)
    if action is first_start.Action.CREATE:
        _create(setting, journal, now)
    elif action is first_start.Action.FINISH:
        _publish(setting)
    kek = _read_kek(setting)
    directory = setting.data_dir / first_start.STORE
    files.check_directory(directory)
    authority = Authority(setting, KeyStore(directory, kek), journal)
    if not found.marker:
        _mark(setting, authority, journal, now)
    if action is not first_start.Action.OPEN:
        root = authority.bundle.roots[0]
        event(
            log, logging.WARNING, "made a new root, because this data directory never had one",
            trust_domain=setting.trust_domain, root=_fingerprint(root), not_after=root.not_valid_after_utc.isoformat(),
        )  # fmt: skip
    shutil.rmtree(setting.data_dir / first_start.STAGED, ignore_errors=True)
    return authority, _kek_source(setting)


def _create(setting: Setting, journal: Journal, now: datetime) -> None:
    """Prepare a whole store aside, then take it into use. Until the last steps nothing exists that anybody trusts."""
    staged = setting.data_dir / first_start.STAGED
    shutil.rmtree(staged, ignore_errors=True)
    files.make_directory(staged)
    own_kek = setting.kek is None
    kek = KeyEncryptionKey.generate() if own_kek else _read_kek(setting)
    store = KeyStore(staged, kek)
    root = _make_root(setting, journal, now)
    intermediate = _make_intermediate(setting, Issuer(root.key, root.certificate, journal, setting.serials), now)
    store.put(root)
    store.put(intermediate)
    store.put_state(State(setting.trust_domain, 1, (root.id,), root.id, intermediate.id))
    if own_kek:
        files.write_private(setting.data_dir / first_start.KEK, kek.file_content())
    _publish(setting)


def _publish(setting: Setting) -> None:
    files.rename(setting.data_dir / first_start.STAGED, setting.data_dir / first_start.STORE)


def _mark(setting: Setting, authority: Authority, journal: Journal, now: datetime) -> None:
    """Write down that there is an authority here now, in two places that outlive the store."""
    root = _fingerprint(authority.bundle.roots[0])
    journal.event("initialised", trust_domain=setting.trust_domain, root=root)
    text = f"{setting.trust_domain} {now:%Y-%m-%dT%H:%M:%SZ} {root}\n"
    files.write_private(setting.data_dir / first_start.MARKER, text.encode())


def _fingerprint(certificate: x509.Certificate) -> str:
    return fingerprint(certificate.public_bytes(Encoding.DER))


def _make_root(setting: Setting, journal: Journal, now: datetime) -> Stored:
    key = SigningKey.generate()
    return _make(setting, Issuer(key, None, journal, setting.serials), Kind.ROOT, key, now)


def _make_intermediate(setting: Setting, root: Issuer, now: datetime) -> Stored:
    """An intermediate with a key of its own: each new one has a new key (identity 22)."""
    return _make(setting, root, Kind.INTERMEDIATE, SigningKey.generate(), now)


def _make(setting: Setting, issuer: Issuer, kind: Kind, key: SigningKey, now: datetime) -> Stored:
    lifetimes = setting.lifetimes
    ttl_s = lifetimes.root_s if kind is Kind.ROOT else lifetimes.intermediate_s
    order = Order(kind, authority_id(setting.trust_domain), key.public_key, ttl_s)
    (result,) = issuer.issue([issuer.prepare(order, now=now, backdate_s=lifetimes.backdate_s)])
    if not isinstance(result, Issued):
        raise result
    return Stored(kind, result.certificate, key, result.intent.window.issued_at)


def _load(store: KeyStore, identifier: str, kind: Kind) -> Stored:
    authority = store.get(identifier)
    if authority.kind is not kind:
        raise LocalError(f"the key store is damaged: {identifier} is no {kind}. {RECOVERY}")
    return authority


def _read_kek(setting: Setting) -> KeyEncryptionKey:
    own = setting.data_dir / first_start.KEK
    path = own if setting.kek is None else setting.kek
    try:
        return KeyEncryptionKey.from_file(files.read_private(path, owner_root=setting.kek is not None), path)
    except FileNotFoundError:
        raise ConfigError(
            f"the key-encryption key {path} is missing; without it the key store cannot be opened. {RECOVERY}"
            if setting.kek is None or (setting.data_dir / first_start.STORE).exists()
            else f"the key-encryption key {path} is missing: make one with `openssl rand -hex 32`, mode 0600"
        ) from None


def _kek_source(setting: Setting) -> str:
    if setting.kek is None:
        return f"{setting.data_dir / first_start.KEK}, made on the first start: {OWN_KEK_WARNING}"
    return f"{setting.kek}, named by the operator"
