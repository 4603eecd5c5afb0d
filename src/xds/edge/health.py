"""The two HTTP apps of a process: health and metrics for probes (TCP), documents for operators (Unix socket)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SERVICE_UNAVAILABLE: Final = 503

Document = Callable[[], dict[str, Any]]
Reason = Callable[[], str | None]
"""Why the process does not serve; None if it does."""


class _AsciiJson(JSONResponse):
    """Whatever was read or sent to us can be told: also text that UTF-8 cannot write, as in names of files."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


# Handlers are `async def` without exception: Starlette runs the others on threads.


def health_app(reason: Reason, metrics: Callable[[], bytes]) -> Starlette:
    """/healthz: the process is alive. /readyz: it serves; 503 and the reason if not. /metrics."""

    async def scrape(_: Request) -> Response:
        return Response(metrics(), media_type=METRICS_TYPE)

    return Starlette(routes=[*_health(reason), Route("/metrics", scrape)])


def admin_app(reason: Reason, documents: Mapping[str, Document]) -> Starlette:
    """The same health, and a JSON document at each of these paths."""
    return Starlette(routes=[*_health(reason), *(_document(path, made) for path, made in documents.items())])


def _document(path: str, made: Document) -> Route:
    async def show(_: Request) -> Response:
        return _AsciiJson(made())

    return Route(path, show)


def _health(reason: Reason) -> list[Route]:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why = reason()
        return PlainTextResponse("ok\n") if why is None else PlainTextResponse(f"{why}\n", SERVICE_UNAVAILABLE)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
