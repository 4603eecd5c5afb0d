"""From an order to a certificate in hand: key, CSR, the signer, and a check of all that came back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from cryptography import x509

from ca.identity.bundle import Bundle
from ca.identity.chain import verify_chain
from ca.svid.errors import UnfitCertificateError
from ca.svid.holder import Holder, LeafKey
from ca.svid.order import Order
from ca.svid.schedule import Life
from ca.svid.signer_client import SignerClient
from ca.svid.trust import Trust


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
