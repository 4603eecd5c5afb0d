"""The two HTTP apps: health and metrics for probes (TCP, loopback), status for operators (Unix socket)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SERVICE_UNAVAILABLE: Final = 503

# Handlers are `async def` without exception: Starlette runs the others on threads.


def health_app(reason: Callable[[], str | None], metrics: Callable[[], bytes]) -> Starlette:
    """/healthz: the process is alive. /readyz: it serves; 503 and the reason if not. /metrics."""

    async def scrape(_: Request) -> Response:
        return Response(metrics(), media_type=METRICS_TYPE)

    return Starlette(routes=[*_health(reason), Route("/metrics", scrape)])


def admin_app(reason: Callable[[], str | None], status: Callable[[], dict[str, Any]]) -> Starlette:
    """/v1/status: everything that an operator may know."""

    async def whole(_: Request) -> Response:
        return JSONResponse(status())

    return Starlette(routes=[*_health(reason), Route("/v1/status", whole)])


def _health(reason: Callable[[], str | None]) -> list[Route]:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why = reason()
        return PlainTextResponse("ok\n") if why is None else PlainTextResponse(f"{why}\n", SERVICE_UNAVAILABLE)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]
