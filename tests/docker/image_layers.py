"""What no layer of an image may hold."""

from __future__ import annotations

import re
import tarfile
from pathlib import PurePath

PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{32}")
NAMES = {"pip.conf", ".netrc", ".pypirc", "kek", "key.pem", "keystore", "journal"}
"""Files of the build machine that name servers or passwords, and our own that hold keys."""
DATA = "var/lib/legation/"


def secrets_in(archive: tarfile.TarFile) -> list[str]:
    """Names of the members that must not be there, with the reason. An empty file is where something was mounted."""
    found = []
    for member in archive:
        if not member.isfile() or member.size == 0:
            continue
        if PurePath(member.name).name in NAMES:
            found.append(f"{member.name}: its name")
        if member.name.startswith(DATA):
            found.append(f"{member.name}: the data directory is a volume")
        body = archive.extractfile(member)
        if body is not None and PRIVATE_KEY.search(body.read()):
            found.append(f"{member.name}: a private key")
    return found
