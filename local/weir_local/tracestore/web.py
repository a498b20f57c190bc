"""The HTTP side: JSON under /api, pages for people elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from weir_local.tracestore import pages
from weir_local.tracestore.store import SpanStore

MAX_LIMIT = 500


class BadQuery(Exception):
    """A query parameter that cannot be used; becomes problem+json."""

    def __init__(self, parameter: str, expected: str, got: str) -> None:
        super().__init__(f"{parameter}: expected {expected}, got {got!r}")
        self.document = {
            "type": "about:blank",
            "title": "Invalid query parameter",
            "status": 400,
            "errors": [{"parameter": parameter, "expected": expected, "got": got}],
        }


def web(store: SpanStore) -> Starlette:
    async def api_trace(request: Request) -> Response:
        trace_id = request.path_params["trace_id"].lower()
        spans = await asyncio.to_thread(store.trace, trace_id)
        if not spans:
            return _problem({"type": "about:blank", "title": "No such trace", "status": 404, "detail": trace_id})
        return JSONResponse(pages.trace_document(trace_id, spans))

    async def api_traces(request: Request) -> Response:
        traces = await asyncio.to_thread(store.recent, request.query_params.get("service"), _limit(request))
        return JSONResponse({"traces": [pages.summary_document(spans) for spans in traces]})

    async def api_services(_: Request) -> Response:
        details = await asyncio.to_thread(store.services)
        return JSONResponse({"services": [one["service"] for one in details], "details": details})

    async def trace(request: Request) -> Response:
        trace_id = request.path_params["trace_id"].lower()
        spans = await asyncio.to_thread(store.trace, trace_id)
        if not spans:
            return HTMLResponse(pages.missing_page(trace_id), status_code=404)
        return HTMLResponse(pages.trace_page(trace_id, spans))

    async def index(request: Request) -> Response:
        traces = await asyncio.to_thread(store.recent, request.query_params.get("service"), _limit(request))
        return HTMLResponse(pages.list_page(traces, await asyncio.to_thread(store.services)))

    async def bad_query(_: Request, error: Exception) -> Response:
        if not isinstance(error, BadQuery):
            raise error
        return _problem(error.document)

    return Starlette(
        routes=[
            Route("/api/traces/{trace_id}", api_trace),
            Route("/api/traces", api_traces),
            Route("/api/services", api_services),
            Route("/traces/{trace_id}", trace),
            Route("/", index),
        ],
        exception_handlers={BadQuery: bad_query},
    )


def _limit(request: Request) -> int:
    raw = request.query_params.get("limit", "50")
    if not raw.isascii() or not raw.isdigit() or not 1 <= int(raw) <= MAX_LIMIT:
        raise BadQuery("limit", f"an integer from 1 to {MAX_LIMIT}", raw)
    return int(raw)


def _problem(document: dict[str, Any]) -> JSONResponse:
    return JSONResponse(document, status_code=document["status"], media_type="application/problem+json")
