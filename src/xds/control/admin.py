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

Json = dict[str, Any]

# Handlers are `async def` without exception: Starlette runs the others on threads.


def health_app(reason: Callable[[], str | None], metrics: Callable[[], bytes]) -> Starlette:
    """/healthz: the process is alive. /readyz: it serves; 503 and the reason if not. /metrics."""
    return Starlette(routes=[*_health(reason), Route("/metrics", _metrics(metrics))])


def admin_app(reason: Callable[[], str | None], status: Callable[[], Json]) -> Starlette:
    """/v1/status: everything. /v1/nodes: the nodes alone."""

    async def whole(_: Request) -> Response:
        return JSONResponse(status())

    async def nodes(_: Request) -> Response:
        return JSONResponse({"nodes": status()["nodes"]})

    return Starlette(routes=[*_health(reason), Route("/v1/status", whole), Route("/v1/nodes", nodes)])


def _health(reason: Callable[[], str | None]) -> list[Route]:
    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why = reason()
        if why is None:
            return PlainTextResponse("ok\n")
        return PlainTextResponse(f"{why}\n", status_code=SERVICE_UNAVAILABLE)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _metrics(metrics: Callable[[], bytes]) -> Callable[[Request], Any]:
    async def scrape(_: Request) -> Response:
        return Response(metrics(), media_type=METRICS_TYPE)

    return scrape
