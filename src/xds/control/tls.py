"""Feeds the listener's credentials from files: `<directory>/current/{cert,key,ca}.pem`, `current` being a symlink.

The writer makes a new directory and renames a symlink over `current`; we resolve the link once per reading, so that the
three files are of one making. A pair that does not match is refused, the old one stays, and the status says so.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trio

from xds.control.watching import Watch, closing
from xds.edge.credentials import ServerCredentials
from xds.edge.watch import changes
from xds.errors import LocalError
from xds.logs import event

LINK: Final = "current"
FILE_BYTES_MAX: Final = 1024 * 1024
"""A chain or bundle; a thousand roots fit."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Material:
    """The three files, of one making. Its text form shows none of them."""

    made: str
    """Name of the directory that `current` pointed to."""
    cert_pem: bytes
    key_pem: bytes
    ca_pem: bytes

    def __repr__(self) -> str:
        return f"<Material {self.made}: redacted>"

    @property
    def digest(self) -> bytes:
        """Tells one making from another; never shown."""
        return hashlib.blake2b(self.cert_pem + self.key_pem + self.ca_pem).digest()


def read_material(directory: Path) -> Material | None:
    """Read what `current` points to; None while there is nothing. Raises `LocalError`."""
    try:
        target = (directory / LINK).resolve(strict=True)
        pems = [_read(target / name) for name in ("cert.pem", "key.pem", "ca.pem")]
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LocalError(f"the TLS files below {directory} cannot be read: {error.strerror}") from error
    return Material(target.name, *pems)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(FILE_BYTES_MAX + 1)
    if len(content) > FILE_BYTES_MAX:
        raise LocalError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
    return content


class TlsFiles:
    """The files, and the credentials that follow them."""

    def __init__(self, directory: Path, *, watch: Watch = changes) -> None:
        self._directory = directory
        self._watch = watch
        self._taken = b""
        self.credentials: ServerCredentials | None = None
        self.error: str | None = None
        self.rotations = 0

    @property
    def waiting(self) -> str:
        """What is missing before the first credentials."""
        return self.error or f"waiting for the TLS files of this listener, {self._directory / LINK}"

    async def run(self, on_waiting: Callable[[str], None], *, task_status: trio.TaskStatus[ServerCredentials]) -> None:
        """Follow the files until cancelled; started with the first credentials that can be used."""
        started = False
        async with closing(self._watch((self._directory,))) as stream:
            async for _ in stream:
                self.look()
                if self.credentials is None:
                    on_waiting(self.waiting)
                elif not started:
                    started = True
                    task_status.started(self.credentials)

    def look(self) -> None:
        """Read the files now and take them if they are new and fit."""
        try:
            material = read_material(self._directory)
            if material is not None and material.digest != self._taken:
                self._take(material)
                self._taken = material.digest
                self.error = None
        except LocalError as error:
            if str(error) != self.error:
                event(log, logging.ERROR, "tls files refused", file=self._directory / LINK, error=error)
            self.error = str(error)

    def _take(self, material: Material) -> None:
        pems = (material.cert_pem, material.key_pem, material.ca_pem)
        if self.credentials is None:
            self.credentials = ServerCredentials(*pems)
        else:
            self.credentials.update(*pems)
            self.rotations += 1
        event(log, logging.INFO, "tls files taken", version=material.made, rotations=self.rotations)
