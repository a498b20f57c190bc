"""The HTTP edge that every service shares: problem+json, health, metrics, spans, metering, and who may do what."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar, cast

import msgspec
import structlog
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Span
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weir_common.api_docs import add_api_docs
from weir_common.audit import PLATFORM, AuditEntry, AuditTrail, tenant_asked
from weir_common.auth import Action, Authenticator, Principal, require
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.metering import RequestMeter
from weir_common.pagination import MAX_CURSOR_CHARACTERS
from weir_common.problems import (
    MEDIA_TYPE,
    FieldError,
    Forbidden,
    InvalidRequest,
    NotFound,
    PayloadTooLarge,
    Problem,
    Unavailable,
)
from weir_common.readiness import Readiness
from weir_common.telemetry import current_trace_id, statement_spans_if_sampled

log = structlog.get_logger(__name__)

T = TypeVar("T")

MAX_BODY_BYTES = 1_048_576
"""Of a request's body, where a service says nothing else."""

_OWN_PATHS = ("/livez", "/readyz", "/metrics", "/docs", "/openapi", "/internal/")

_CALLERS_WORDS = frozenset(
    {
        *("url.path", "url.query", "url.full", "http.target", "http.url"),
        *("user_agent.original", "http.user_agent", "client.address", "network.peer.address", "net.peer.ip"),
    }
)
"""Attributes of a request's span, by both of the conventions that the instrumentation knows."""

_PROBLEM_SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "trace_id": {"type": "string"},
        "request_id": {"type": "string", "description": "Instead of the trace id when the gateway itself answers"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901 pointer into the body"},
                    "parameter": {"type": "string", "description": "query parameter or header"},
                    "expected": {"type": "string"},
                    "got": {"type": "string"},
                },
            },
        },
    },
}


def _problem(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": _PROBLEM_SHAPE}}}


PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    400: _problem("The request cannot be read"),
    401: _problem("No credential, or a bad one"),
    403: _problem("Not allowed, or another tenant's data"),
    408: _problem("The request did not arrive in time"),
    413: _problem("The body is larger, or nested deeper, than a request's may be"),
    422: _problem("Readable, but not valid; each fault with its place"),
    429: _problem("Too many requests; try again after Retry-After"),
    431: _problem("The headers are larger than allowed"),
    503: _problem("A part that this needs does not answer; try again after Retry-After"),
    504: _problem("A part that this needs did not answer in time"),
}
"""For ``FastAPI(responses=…)``: the problems that any endpoint, or the gateway before it, may answer with."""

NOT_FOUND: dict[int | str, dict[str, Any]] = {404: _problem("There is no such thing")}
CONFLICT: dict[int | str, dict[str, Any]] = {409: _problem("Not as things stand now; `detail` says why")}
CHANGED: dict[int | str, dict[str, Any]] = {412: _problem("It is another version by now than the one in If-Match")}
GONE: dict[int | str, dict[str, Any]] = {410: _problem("It was there, and was deleted")}
"""For the ``responses`` of single routes."""

PUBLIC: dict[str, Any] = {"security": []}
"""For ``openapi_extra`` of a route that asks for no credential."""

TENANT_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
TenantParameter = Annotated[
    str | None, Query(description="Default: the caller's own; operators have none", pattern=TENANT_PATTERN)
]
"""``tenant_id`` in a query: what can be no tenant (a NUL, say, which PostgreSQL refuses) is refused before it is looked for."""
CursorParameter = Annotated[
    str | None,
    Query(
        description="`next_cursor` of the page before", pattern=r"^[A-Za-z0-9_-]+$", max_length=MAX_CURSOR_CHARACTERS
    ),
]
_TENANT = re.compile(TENANT_PATTERN.removesuffix("$"))


def answer(description: str, *members: str, status: int = 200) -> dict[int | str, dict[str, Any]]:
    """For ``responses``: a JSON object that always has ``members``."""
    schema = {"type": "object", "required": list(members)}
    return {status: {"description": description, "content": {"application/json": {"schema": schema}}}}


class MsgspecResponse(JSONResponse):
    """JSON made by msgspec: structs, decimals and times without detours. (Of a class that is no JSONResponse FastAPI says "a string".)"""

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


def create_app(
    *,
    service: str,
    title: str,
    description: str,
    readiness: Readiness,
    authenticator: Authenticator,
    audit: AuditTrail,
    meter: RequestMeter | None = None,
    version: str = "2.0.0",
    max_body_bytes: int = MAX_BODY_BYTES,
) -> FastAPI:
    """The application of one service. Routers are added by its own entrypoints."""
    app = FastAPI(
        title=title,
        description=description,
        version=version,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"/openapi/{service}.json",
        default_response_class=MsgspecResponse,
        responses=PROBLEM_RESPONSES,
    )
    add_api_docs(app, service)
    app.state.authenticator = authenticator
    app.state.audit = audit
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RetryError, _on_outage)
    app.add_exception_handler(TimeoutError, _on_outage)
    app.add_exception_handler(Exception, _on_bug)
    app.add_middleware(_BodyLimit, max_bytes=max_body_bytes)
    app.add_middleware(_Metering, meter=meter)

    @app.get("/livez", include_in_schema=False)
    async def livez() -> Response:
        return MsgspecResponse({"status": "alive"})

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> Response:
        faults = await readiness.faults()
        ready = readiness.is_ready(faults)
        return MsgspecResponse(
            {"status": "ready" if ready else "not ready", "faults": dict(faults)}, status_code=200 if ready else 503
        )

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    FastAPIInstrumentor.instrument_app(
        app, excluded_urls="livez,readyz,metrics", exclude_spans=["receive", "send"], server_request_hook=withhold
    )
    return app


def withhold(span: Span, _: Scope) -> None:
    """Overwrite what callers may have put a person's data into; ``http.route`` says as much of the request as is needed."""
    if isinstance(span, ReadableSpan) and span.is_recording():
        for name in _CALLERS_WORDS & (span.attributes or {}).keys():
            span.set_attribute(name, "withheld")


# ── who may ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def principal(action: Action) -> Any:
    """A dependency that gives the caller, after checking that a role allows ``action``: ``caller: Annotated[Principal, principal(Action.X)]``."""

    async def identify(request: Request) -> Principal:
        authenticator: Authenticator = request.app.state.authenticator
        caller = authenticator.authenticate(
            api_key=request.headers.get("x-api-key"), authorization=request.headers.get("authorization")
        )
        request.state.tenant_id = caller.tenant_id
        if caller.tenant_id is not None:
            structlog.contextvars.bind_contextvars(**{"weir.tenant.id": caller.tenant_id})
        try:
            require(caller, action)
        except Forbidden:
            await _audit(request, caller, caller.tenant_id, action, "denied", "role")
            raise
        return caller

    return Depends(identify)


async def tenant_access(request: Request, caller: Principal, tenant_id: TenantId, action: Action) -> None:
    """`enter_tenant` for a route of the application."""
    path = f"{request.method} {request.scope.get('route_path') or request.url.path}"
    await enter_tenant(request.app.state.audit, path, caller, tenant_id, action)
    if caller.tenant_id is None:
        request.state.tenant_id = tenant_id


async def enter_tenant(
    trail: AuditTrail, object_ref: str, caller: Principal, tenant_id: TenantId, action: Action
) -> None:
    """``Forbidden``, with an audit entry, when the caller's tenant is another; an operator's visit is audited and let through.

    ``InvalidRequest`` when it can be no tenant at all: then there is nothing to enter, and the audit log holds no made-up names.
    """
    if tenant_id != PLATFORM and _TENANT.fullmatch(tenant_id) is None:
        raise InvalidRequest(
            "This can be no tenant.",
            errors=[
                FieldError(
                    "/tenant_id", "1 to 63 letters, digits, - and _, the first a letter or digit", tenant_id[:80]
                )
            ],
        )
    if caller.may_enter(tenant_id):
        if caller.tenant_id is None:
            await audit_access(trail, object_ref, caller, tenant_id, action, "success", "operator")
        structlog.contextvars.bind_contextvars(**{"weir.tenant.id": tenant_id})
        return
    await audit_access(trail, object_ref, caller, tenant_id, action, "denied", "tenant")
    log.warning("access to another tenant refused", action=action, actor=caller.subject)
    raise Forbidden(
        "The credential belongs to another tenant; the attempt was recorded.",
        slug="tenant-mismatch",
        title="The data belong to another tenant",
    )


async def _audit(
    request: Request, caller: Principal, tenant_id: TenantId | None, action: Action, outcome: str, reason: str
) -> None:
    path = f"{request.method} {request.scope.get('route_path') or request.url.path}"
    await audit_access(request.app.state.audit, path, caller, tenant_id, action, outcome, reason)


async def audit_access(
    trail: AuditTrail,
    object_ref: str,
    caller: Principal,
    tenant_id: TenantId | None,
    action: Action,
    outcome: str,
    reason: str,
) -> None:
    """Record who tried what; ``Unavailable`` when the audit log does not take it, since then nothing privileged is done."""
    try:
        await trail.record(
            AuditEntry(
                # The entry belongs to the caller's own tenant: the other's log must not show who else exists.
                tenant_id=caller.tenant_id or tenant_id or PLATFORM,
                actor=caller.subject,
                actor_kind=caller.kind,
                action=str(action),
                object_ref=object_ref,
                outcome=cast("Any", outcome),
                detail={"reason": reason, "tenant_asked": tenant_asked(tenant_id)},
            )
        )
    except RetryError as error:
        raise Unavailable("The audit log does not take entries now, so nothing privileged is done.") from error


# ── bodies and parameters ───────────────────────────────────────────────────────────────────────────────────────────────


MAX_DEPTH = 400
"""Members within members that are read for certain; the decoder gives up somewhere above."""


def decode_body(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The decoded body; ``InvalidRequest`` 400 when it is no JSON, 422 with a pointer when it has the wrong shape, 413 when too deep."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            "The body does not have the shape that this endpoint takes.", errors=[field_error(error)]
        ) from error
    except RecursionError as error:
        raise PayloadTooLarge(
            f"The body is nested too deeply; {MAX_DEPTH} levels are read.", extra={"limit_depth": MAX_DEPTH}
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(
            f"The body is not JSON: {error}", status=400, slug="malformed-body", title="The body cannot be read"
        ) from error


_TYPE_FAULT = re.compile(r"Expected `(?P<expected>[^`]+)`, got `(?P<got>[^`]+)`")
_MISSING = re.compile(r"Object missing required field `(?P<name>[^`]+)`")
_RULE = re.compile(r"Expected (?P<expected>`.+)")
_KINDS = {
    "Invalid UUID": "a UUID",
    "Invalid RFC3339 encoded datetime": "an RFC 3339 date-time",
    "Invalid decimal string": "a decimal number",
}


def field_error(error: msgspec.ValidationError, prefix: str = "") -> FieldError:
    """Turn msgspec's ``Expected `int`, got `str` - at `$.a[0].b``` into pointer, expected and got."""
    message, separator, path = str(error).rpartition(" - at `")
    if not separator:
        message, path = str(error), "$"
    where = prefix + pointer(path.rstrip("`"))
    if match := _MISSING.fullmatch(message):
        return FieldError(f"{where}/{_escape(match['name'])}", "a value (required)", "nothing")
    if match := _TYPE_FAULT.fullmatch(message):
        return FieldError(where, match["expected"], match["got"])
    if message.startswith("Invalid enum value "):
        return FieldError(where, "one of the documented values", message.removeprefix("Invalid enum value "))
    if match := _RULE.fullmatch(message):
        return FieldError(where, match["expected"].replace("`", ""))
    return FieldError(where, _KINDS.get(message, message))


def pointer(path: str) -> str:
    """RFC 6901 pointer of a msgspec path: ``$.events[3].event_id`` → ``/events/3/event_id``; ``[...]`` (any key) → ``/*``."""
    out: list[str] = []
    part = ""
    for character in path.removeprefix("$"):
        if character in ".[":
            if part:
                out.append(part)
            part = ""
        elif character == "]":
            out.append("*" if part == "..." or not part else part)
            part = ""
        else:
            part += character
    if part:
        out.append(part)
    return "".join("/" + _escape(token) for token in out)


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def problem_response(problem: Problem, request: Request) -> Response:
    """RFC 9457, with the trace id that support will ask for."""
    return Response(
        msgspec.json.encode(problem.document(instance=request.url.path, trace_id=current_trace_id())),
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


async def _on_problem(request: Request, error: Exception) -> Response:
    return problem_response(cast("Problem", error), request)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    errors = []
    for fault in cast("RequestValidationError", error).errors():
        where = [str(part) for part in fault["loc"]]
        got = str(fault.get("input", ""))[:120]
        if where and where[0] == "body":
            errors.append(FieldError("".join("/" + _escape(part) for part in where[1:]), fault["msg"], got))
        else:
            errors.append(FieldError(parameter=where[-1] if where else "", expected=fault["msg"], got=got))
    return problem_response(
        InvalidRequest("The request does not have the shape that this endpoint takes.", errors=errors), request
    )


async def _on_http_exception(request: Request, error: Exception) -> Response:
    fault = cast("HTTPException", error)
    if fault.status_code == 404:
        return problem_response(NotFound(f"Nothing is served at {request.url.path}."), request)
    headers = dict(fault.headers or {})
    if fault.status_code == 405:
        # Of a path with several routes the framework names the methods of the first.
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    slug = {405: "method-not-allowed", 415: "unsupported-media-type"}.get(fault.status_code, "http-error")
    return problem_response(
        Problem(str(fault.detail), status=fault.status_code, slug=slug, title=str(fault.detail), headers=headers),
        request,
    )


def _route_of(request: Request) -> str:
    """The route's template: what stands in a path may be a person's identifier, and logs are not erased."""
    return str(getattr(request.scope.get("route"), "path", ""))


def _methods(request: Request) -> set[str]:
    """What the path of the request answers."""
    return {
        method
        for route in _routes(request.app.router)
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }


def _routes(router: Router) -> Iterator[BaseRoute]:
    """Those of included routers, too: the application has each of these as one route without methods. We include without a prefix."""
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from _routes(included)


async def _on_outage(request: Request, error: Exception) -> Response:
    log.warning("request failed for want of a part", route=_route_of(request), error=repr(error))
    return problem_response(Unavailable("A part that this needs did not answer in time; nothing was changed."), request)


async def _on_bug(request: Request, error: Exception) -> Response:
    log.exception("unhandled error", route=_route_of(request), exc_info=error)
    return problem_response(Problem("The error was recorded; please give support the trace id."), request)


# ── middleware (plain ASGI: no task per request) ────────────────────────────────────────────────────────────────────────


def declares_more(content_length: bytes, max_bytes: int) -> bool:
    """Whether a ``Content-Length`` is a number above the limit; of any number of digits (Python converts 4,300)."""
    digits = content_length.lstrip(b"0")
    return digits.isdigit() and (len(digits) > len(str(max_bytes)) or int(digits) > max_bytes)


class _BodyLimit:
    """Refuses a body over the limit, by its declared length or as it arrives."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        for name, value in scope["headers"]:
            if name == b"content-length" and declares_more(value, self._max_bytes):
                request = Request(scope)
                await problem_response(self._too_large(), request)(scope, receive, send)
                return
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise self._too_large()
            return message

        await self._app(scope, limited, send)

    def _too_large(self) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"The body may be at most {self._max_bytes} bytes.", extra={"limit_bytes": self._max_bytes}
        )


class _Metering:
    """Counts each answered request for its tenant, clears the log context, and names the tenant on the span."""

    def __init__(self, app: ASGIApp, meter: RequestMeter | None) -> None:
        self._app = app
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(_OWN_PATHS):
            await self._app(scope, receive, send)
            return
        structlog.contextvars.clear_contextvars()
        started = time.perf_counter()
        status = 500

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            with statement_spans_if_sampled():
                await self._app(scope, receive, observed)
        finally:
            state: Mapping[str, Any] = scope.get("state") or {}
            tenant_id = state.get("tenant_id")
            if tenant_id is not None and self._meter is not None:
                route = getattr(scope.get("route"), "path", "other")
                self._meter.count(
                    tenant_id,
                    route,
                    scope["method"],
                    status,
                    time.perf_counter() - started,
                    events=state.get("events", 0),
                )
