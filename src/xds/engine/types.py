"""What differs between resource types in the protocol, as one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from xds import names


@dataclass(frozen=True, slots=True)
class TypePolicy:
    """The rules of one type. The defaults are those of a type that we have never heard of."""

    legacy_wildcard: bool = False
    """A first request without names means everything (62, 67)."""
    full_state: bool = False
    """A SotW response holds the whole subscription, and absence from it is a deletion (19, 88)."""
    answer_missing: bool = True
    """Delta says `removed_resources` for names that do not exist (41); otherwise they are simply not answered (93)."""
    one_per_response: bool = False
    """A client's rejection does not name the resource, so a response holds only one (facts 9)."""
    resend_after_nack: bool = False
    """A rejected resource stays in the client, so the last accepted one is sent over it, once (facts A2)."""
    redact_nack: bool = False
    """A client's rejection may quote a private key: only its known beginning is kept (80, facts A3)."""


_FULL: Final = TypePolicy(legacy_wildcard=True, full_state=True)
_DEFAULT: Final = TypePolicy()

POLICIES: Final[Mapping[str, TypePolicy]] = MappingProxyType(
    {
        names.CLUSTER: _FULL,
        names.LISTENER: _FULL,
        names.SCOPED_ROUTE: _FULL,
        names.SECRET: TypePolicy(answer_missing=False, one_per_response=True, resend_after_nack=True, redact_nack=True),
    }
)


def policy_of(type_url: str) -> TypePolicy:
    """The rules of that type."""
    return POLICIES.get(type_url, _DEFAULT)
