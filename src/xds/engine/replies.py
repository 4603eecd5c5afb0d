"""Putting responses together from ready frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from xds.engine import framing
from xds.engine.events import Manifest, Reply
from xds.engine.ordering import FOLLOWED_BY
from xds.engine.record import Record
from xds.engine.shelf import Shelf


def manifest_of(
    shelf: Shelf, version: str, changed: Iterable[Record], removed: Sequence[str] = (), *, restored: bool = False
) -> Manifest:
    """What a response is going to say."""
    records = tuple(changed)
    follower = FOLLOWED_BY.get(shelf.type_url)
    followers = (
        ()
        if follower is None
        else tuple(name for record in records for type_url, name in record.children if type_url == follower)
    )
    return Manifest(version, records, tuple(removed), followers, restored)


def sotw(shelf: Shelf, manifest: Manifest, records: Iterable[Record], identifier: str, *, mark: str = "") -> Reply:
    """A new `DiscoveryResponse`. `mark` is appended to the version that the client sees."""
    serial = next(shelf.serials)
    nonce = f"{serial:x}"
    parts = [framing.text_field(1, manifest.version + mark)]
    parts.extend(record.sotw_frame for record in records)
    parts += (framing.text_field(4, shelf.type_url), framing.text_field(5, nonce), framing.control_plane(6, identifier))
    return Reply(shelf.type_url, nonce, b"".join(parts), shelf.commit, serial, manifest)


def delta(shelf: Shelf, manifest: Manifest, identifier: str) -> Reply:
    """A new `DeltaDiscoveryResponse`."""
    serial = next(shelf.serials)
    nonce = f"{serial:x}"
    parts = [framing.text_field(1, manifest.version)]
    parts.extend(record.delta_frame for record in manifest.changed)
    parts += (framing.text_field(4, shelf.type_url), framing.text_field(5, nonce))
    # Written even if empty: the empty string is an ordinary name (68).
    parts.extend(framing.field(6, name.encode()) for name in manifest.removed)
    parts.append(framing.control_plane(7, identifier))
    return Reply(shelf.type_url, nonce, b"".join(parts), shelf.commit, serial, manifest)
