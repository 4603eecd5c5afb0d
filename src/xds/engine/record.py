"""One resource, serialised once, hashed once and shared for ever by every stream that sends it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NoReturn

from xds.engine import framing

DIGEST_BYTES: Final = 16
"""128 bits: no accidental equality among all resources that a server will ever see."""


@dataclass(frozen=True, slots=True, repr=False)
class Record:
    """A named resource of one type in its final bytes. Equal type, name and version mean equal content."""

    type_url: str
    name: str
    version: str
    """Opaque; by default the hash of the body, hence the same on every replica and after a restart (37, 58)."""
    body: bytes = field(compare=False)
    sotw_frame: bytes = field(compare=False)
    """Field 2 of a `DiscoveryResponse`, ready to be concatenated."""
    delta_frame: bytes = field(compare=False)
    """Field 2 of a `DeltaDiscoveryResponse`."""
    children: tuple[tuple[str, str], ...] = field(compare=False)
    """(type_url, name) of what this resource makes a client fetch."""
    clusters: tuple[str, ...] = field(compare=False)
    """Names of the clusters that it sends traffic to."""
    source: str = field(compare=False)
    """`file.yaml:12`, for people."""
    digest: int = field(compare=False)
    """Hash of name and version; the digests of a type add up to the version of the type."""

    def __repr__(self) -> str:
        # Never bytes: a Record may hold a secret.
        return f"Record({self.type_url.rpartition('.')[2]} {self.name!r} {self.version[:12]} {len(self.body)} bytes)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        # For the same reason neither pickle nor copy gets it; it is shared, and serialised already.
        raise TypeError("a Record is not pickled or copied: it may hold a secret")


del Record.__dataclass_fields__  # or `dataclasses.asdict` would hand out what `repr` hides


def make_record(
    type_url: str,
    name: str,
    body: bytes,
    *,
    version: str | None = None,
    children: Iterable[tuple[str, str]] = (),
    clusters: Iterable[str] = (),
    source: str = "",
) -> Record:
    """A resource as a record. `body` is its deterministic serialisation; `version` is the body's hash unless given."""
    if version is None:
        version = hashlib.blake2b(body, digest_size=DIGEST_BYTES).hexdigest()
    named = name.encode() + b"\0" + version.encode()
    return Record(
        type_url=type_url,
        name=name,
        version=version,
        body=body,
        sotw_frame=framing.sotw_frame(type_url, body),
        delta_frame=framing.delta_frame(type_url, name, version, body),
        children=tuple(children),
        clusters=tuple(clusters),
        source=source,
        digest=int.from_bytes(hashlib.blake2b(named, digest_size=DIGEST_BYTES).digest()),
    )
