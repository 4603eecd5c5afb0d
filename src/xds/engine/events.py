"""The vocabulary of the engine: what comes in from a client, what goes out to it, and what operators are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from xds.engine.record import Record


class Status(Protocol):
    """`google.rpc.Status` without its details."""

    @property
    def code(self) -> int:
        """A gRPC status code."""

    @property
    def message(self) -> str:
        """The client's sentence."""


class Request(Protocol):
    """What both variants of the protocol have in common."""

    @property
    def type_url(self) -> str:
        """Empty only on a stream of one type."""

    @property
    def response_nonce(self) -> str:
        """Of the response that is answered; empty for a request that answers none."""

    @property
    def error_detail(self) -> Status:
        """Present only in a rejection."""

    def HasField(self, field_name: str, /) -> bool:  # noqa: N802 (protobuf's spelling)
        """Whether `error_detail` is present: that, and nothing else, is a NACK (76)."""


class SotwRequest(Request, Protocol):
    """`DiscoveryRequest`."""

    @property
    def version_info(self) -> str:
        """The version that the client holds."""

    @property
    def resource_names(self) -> Sequence[str]:
        """The whole subscription."""


class DeltaRequest(Request, Protocol):
    """`DeltaDiscoveryRequest`."""

    @property
    def resource_names_subscribe(self) -> Sequence[str]:
        """Names added; each is answered, also if it was there before."""

    @property
    def resource_names_unsubscribe(self) -> Sequence[str]:
        """Names dropped."""

    @property
    def initial_resource_versions(self) -> Mapping[str, str]:
        """What the client still holds from an earlier stream; read in the first message of a type only."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Manifest:
    """What a response said, without its bytes: kept until the client answers."""

    version: str
    """The type's version in the response."""
    changed: tuple[Record, ...]
    """The resources that the response is about; a full-state response repeats others besides."""
    removed: tuple[str, ...] = ()
    followers: tuple[str, ...] = ()
    """Names of another type that have to follow (`ordering.FOLLOWED_BY`)."""
    restored: bool = False
    """An earlier resource sent again over one that was rejected."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Reply:
    """One response, ready for the wire. Streams in the same state get the same object."""

    type_url: str
    nonce: str
    body: bytes
    commit: int
    """The view's commit that the response was built from."""
    serial: int
    """Grows within a view; the nonce is made of it."""
    manifest: Manifest

    def __repr__(self) -> str:
        # Never bytes: a Reply may hold a secret.
        return f"Reply({self.type_url.rpartition('.')[2]} nonce={self.nonce} {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Rejection:
    """A client's NACK, fit to be shown."""

    type_url: str
    nonce: str
    version: str
    """The type's version in the rejected response; empty if the nonce was not that of the response in flight."""
    names: tuple[str, ...]
    """The resources that the client named, else all that the response changed."""
    code: int
    message: str
    sources: tuple[str, ...] = ()
    """Where those resources were written."""


@dataclass(frozen=True, slots=True)
class TypeStatus:
    """What one stream asked for, got and confirmed of one type."""

    type_url: str
    wildcard: bool
    names: int
    """Number of names subscribed explicitly."""
    sent_version: str
    acked_version: str
    sent_commit: int
    """Everything of this type up to this commit has been sent."""
    acked_commit: int
    """Everything of this type up to this commit is acknowledged."""
    in_flight: bool
    parked: tuple[str, ...] = field(default=())
    """Names whose current version this client rejected."""
    rejection: Rejection | None = None
    """The last one, until a later response is acknowledged."""
