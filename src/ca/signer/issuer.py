"""Prepare, then issue: the only way to a signature by an authority's key.

`prepare` makes the certificate from the profile, signs it with a throw-away key, lets the linter look at the result,
and hands out a token. `issue` takes tokens, journals the intent, signs exactly the bytes that were linted, checks the
result and journals it. A token works once, at the issuer that made it. Nothing is built twice, so nothing can differ.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ca.errors import Code, LocalError, RefusedError
from ca.identity.order import Order
from ca.identity.profile import IssuerFacts, Template, Window, template
from ca.signer import der
from ca.signer.key import SigningKey, public_bytes, throw_away_key
from ca.signer.lint import IssuerSide, lint


@dataclass(frozen=True, slots=True)
class Intent:
    """What will be signed; stands in the journal before the signature exists."""

    order: Order
    serial: int
    issuer: str
    """Hex of the issuer's subject key identifier; empty for a root."""
    window: Window


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed and checked certificate."""

    certificate: x509.Certificate
    chain_der: tuple[bytes, ...]
    """The certificate, then what leads to a root; never the root."""
    intent: Intent


class Journal(Protocol):
    """What an issuer needs of the journal. Both return when the rows are on the disk."""

    def intents(self, intents: Sequence[Intent]) -> None:
        """Before the signatures."""

    def results(self, results: Sequence[Issued | RefusedError], intents: Sequence[Intent]) -> None:
        """After them, in the same order."""


class Token:
    """Prepared and linted, and good for one signature. Making one by hand is of no use: `issue` knows its own."""

    __slots__ = ("__weakref__", "algorithm", "intent", "tbs")

    def __init__(self, intent: Intent, tbs: bytes, algorithm: bytes) -> None:
        self.intent = intent
        self.tbs = tbs
        self.algorithm = algorithm


class Issuer:
    """An authority that signs. Its key is reachable through `issue` only."""

    __slots__ = (
        "__above",
        "__certificate",
        "__facts",
        "__journal",
        "__key",
        "__open",
        "__serials",
        "__side",
        "__throw_away",
    )

    def __init__(
        self,
        key: SigningKey,
        certificate: x509.Certificate | None,
        journal: Journal,
        serials: Callable[[], int] = x509.random_serial_number,
    ) -> None:
        """`certificate` is None only where a root is about to sign itself. Raises `LocalError` for a foreign key."""
        self.__key = key
        self.__certificate = certificate
        self.__facts = None if certificate is None else IssuerFacts.of(certificate)
        self.__above = () if certificate is None or _is_root(certificate) else (certificate.public_bytes(Encoding.DER),)
        self.__side = None if certificate is None else IssuerSide.of(certificate)
        self.__journal = journal
        self.__serials = serials
        self.__throw_away = throw_away_key()
        self.__open: weakref.WeakSet[Token] = weakref.WeakSet()
        if certificate is not None and public_bytes(certificate.public_key()) != public_bytes(key.public_key):
            raise LocalError(f"the key does not belong to the certificate {certificate.subject.rfc4514_string()}")

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate."""
        if self.__certificate is None:
            raise LocalError("this root has not signed itself yet")
        return self.__certificate

    def prepare(self, order: Order, *, now: datetime, backdate_s: int) -> Token:
        """Everything but the signature. Raises `RefusedError`; nothing has happened then."""
        wanted = template(order, self.__facts, now=now, backdate_s=backdate_s, serial=self.__serials())
        linted = self.__sign_throw_away(wanted)
        lint(linted, order, self.__side)
        tbs, algorithm = der.tbs_and_algorithm(linted.public_bytes(Encoding.DER))
        identifier = "" if self.__facts is None else self.__facts.key_identifier.digest.hex()
        token = Token(Intent(order, wanted.serial, identifier, wanted.window), tbs, algorithm)
        self.__open.add(token)
        return token

    def issue(self, tokens: Sequence[Token]) -> list[Issued | RefusedError]:
        """Sign what was prepared, in one go through the journal. Raises `LocalError` for a used or foreign token."""
        for token in tokens:
            if token not in self.__open:
                raise LocalError("a token can be used once, at the issuer that made it")
            self.__open.remove(token)
        intents = [token.intent for token in tokens]
        self.__journal.intents(intents)
        results = [self.__sign(token) for token in tokens]
        self.__journal.results(results, intents)
        return results

    def __sign_throw_away(self, wanted: Template) -> x509.Certificate:
        return x509.CertificateBuilder(
            issuer_name=wanted.issuer,
            subject_name=wanted.subject,
            public_key=wanted.public_key,
            serial_number=wanted.serial,
            not_valid_before=wanted.window.not_before.replace(tzinfo=None),
            not_valid_after=wanted.window.not_after.replace(tzinfo=None),
            extensions=list(wanted.extensions),
        ).sign(self.__throw_away, hashes.SHA256())

    def __sign(self, token: Token) -> Issued | RefusedError:
        signed = der.certificate(token.tbs, token.algorithm, self.__key.sign_tbs(token.tbs))
        try:
            return Issued(self.__checked(signed, token), (signed, *self.__above), token.intent)
        except (ValueError, TypeError, InvalidSignature, x509.InvalidVersion) as error:
            return RefusedError(
                Code.SELF_CHECK, f"the signed certificate failed its own check ({type(error).__name__})"
            )

    def __checked(self, signed: bytes, token: Token) -> x509.Certificate:
        """Read the result again as a stranger would: the linted bytes, and the issuer's signature over them."""
        certificate = x509.load_der_x509_certificate(signed)
        if certificate.tbs_certificate_bytes != token.tbs:
            raise ValueError("not the linted bytes")
        if certificate.serial_number != token.intent.serial:
            raise ValueError("not the journalled serial")
        certificate.verify_directly_issued_by(self.__certificate or certificate)
        return certificate


def _is_root(certificate: x509.Certificate) -> bool:
    return certificate.issuer == certificate.subject
