"""The roots that we trust and publish: the newest bundle that the signer told, never an older one again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ca.identity.bundle import Bundle
from ca.svid.errors import UnfitCertificateError


class Trust:
    """The bundle of one trust domain; `on_change` is called when there is a newer one."""

    def __init__(self, trust_domain: str) -> None:
        self.trust_domain = trust_domain
        self.on_change: Callable[[], None] = lambda: None
        self._bundle: Bundle | None = None

    @property
    def bundle(self) -> Bundle:
        """The newest. Raises `UnfitCertificateError` before the first."""
        if self._bundle is None:
            raise UnfitCertificateError(f"the signer has not told the roots of {self.trust_domain} yet")
        return self._bundle

    def learn(self, told: Any) -> Bundle:
        """Take a bundle of the signer and answer it. Raises `LocalError` where it contradicts what we know."""
        bundle = Bundle.from_der(told.trust_domain, told.roots_der, told.sequence)
        if bundle == self._bundle:
            return bundle
        self._check(bundle)
        self._bundle = bundle
        self.on_change()
        return bundle

    def _check(self, bundle: Bundle) -> None:
        if bundle.trust_domain != self.trust_domain:
            raise UnfitCertificateError(
                f"the signer is of trust domain {bundle.trust_domain}, we are of {self.trust_domain}"
            )
        if self._bundle is not None and bundle.sequence <= self._bundle.sequence:
            raise UnfitCertificateError(
                f"the signer's bundle has sequence {bundle.sequence} but other roots than our {self._bundle.sequence}:"
                " its data directory was replaced or rolled back. Restart the ca process if that is what you want"
            )
