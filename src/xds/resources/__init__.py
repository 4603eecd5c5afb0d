"""For people who write resources in Python: `secret_config`, `ads_config`, and the child process that evaluates a file.

The `xds` process imports nothing of this room but `secret`; envoy-data-plane is loaded only when a name below is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xds.resources.typed import ads_config, secret_config

__all__ = ["ads_config", "secret_config"]


def __getattr__(name: str) -> Any:
    """Load envoy-data-plane (a third of a second) only for those who use it."""
    if name in __all__:
        return getattr(importlib.import_module("xds.resources.typed"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
