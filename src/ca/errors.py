"""Errors of the certificate authority: the vocabulary of `xds.errors`, and the signer's refusal."""

from __future__ import annotations

import enum

from xds.errors import ConfigError, Fault, LegationError, LocalError, PeerError

__all__ = ["Code", "ConfigError", "Fault", "LegationError", "LocalError", "PeerError", "RefusedError"]


class Code(enum.StrEnum):
    """Why the signer refused, for programs. Stable: callers and dashboards compare them."""

    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    REQUEST_ID = "request_id"
    CSR = "csr"
    CSR_SIGNATURE = "csr_signature"
    KEY_TYPE = "key_type"
    KEY_REUSED = "key_reused"
    SPIFFE_ID = "spiffe_id"
    TRUST_DOMAIN = "trust_domain"
    RESERVED_PATH = "reserved_path"
    NAME = "name"
    ISSUER_ENDED = "issuer_ended"
    CLOCK = "clock"
    LINT = "lint"
    SELF_CHECK = "self_check"
    JOURNAL = "journal"
    BUSY = "busy"
    DENIED = "denied"


class RefusedError(LegationError):
    """One request is refused. The message says what happened and what to do; it never holds a secret."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
