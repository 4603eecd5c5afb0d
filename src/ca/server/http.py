"""What ca serves over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette

from xds.edge import health


def admin_app(reason: Callable[[], str | None], status: Callable[[], dict[str, Any]]) -> Starlette:
    """/v1/status: everything that an operator may know."""
    return health.admin_app(reason, {"/v1/status": status})
