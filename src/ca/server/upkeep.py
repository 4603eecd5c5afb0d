"""Looked at every few seconds: the signer's bundle, idle nodes, names asked for in vain, files not written yet."""

from __future__ import annotations

import logging
from typing import Any, Final

import trio

from ca.errors import LegationError
from ca.server.fleet import Fleet
from ca.server.own import OwnCertificates
from ca.svid.issuing import Issuer
from ca.svid.sds import SecretHost
from xds.logs import event

EVERY_S: Final = 3.0
"""A changed bundle reaches nodes that wait for no certificate within 5 s (identity 95)."""

log = logging.getLogger(__name__)


class Upkeep:
    """The rounds, and what the signer said in the last one."""

    def __init__(self, issuer: Issuer, fleet: Fleet, host: SecretHost, own: OwnCertificates) -> None:
        self.signer_error: str | None = None
        self.signer_state: Any = None
        self._issuer = issuer
        self._fleet = fleet
        self._host = host
        self._own = own

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await self.ask_signer()
            self._host.note_denied(self._fleet.nodes.values())
            self._fleet.forget_idle()
            self._own.retry()
            await trio.sleep(EVERY_S)

    async def ask_signer(self) -> None:
        """Learn the bundle, and whether the signer is there at all."""
        try:
            state = await self._issuer.refresh_trust()
        except LegationError as error:
            self._heard(None, str(error))
        else:
            self._heard(state, None)

    def _heard(self, state: Any, error: str | None) -> None:
        if (error is None) != (self.signer_error is None):
            if error is None:
                event(log, logging.INFO, "the signer answers again")
            else:
                event(log, logging.ERROR, "the signer does not answer; what was issued keeps serving", error=error)
        self.signer_error = error
        self.signer_state = state if state is not None else self.signer_state
