"""What can go wrong between us and the signer. None ends a running process: what was issued keeps serving."""

from __future__ import annotations

from xds.errors import LegationError, LocalError


class SignerUnavailableError(LocalError):
    """The signer cannot be reached or does not answer; it is asked again."""

    code = "unavailable"


class SignerRefusedError(LegationError):
    """The signer said no. `code` is for programs and metrics, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class UnfitCertificateError(LocalError):
    """What the signer answered does not fit what was asked for; it is not used."""

    code = "unfit"
