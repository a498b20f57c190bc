"""gRPC servers and channels with what the field expects: health v1, reflection, deadlines, trace context, one error mapping.

Names follow the OpenTelemetry RPC conventions (release candidate): ``rpc.server.call.duration``, ``rpc.method`` in full.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import grpc
import grpc.aio
import structlog
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from opentelemetry import trace

from weir_common.auth import Action, Authenticator, Principal, require
from weir_common.errors import QuarantineError, RetryError
from weir_common.problems import FieldError, Problem
from weir_common.readiness import Readiness
from weir_common.telemetry import context_of, meter, statement_spans_if_sampled, traceparent_of, tracer

log = structlog.get_logger(__name__)

_STATUS_OF_HTTP = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
}

DEFAULT_DEADLINE_SECONDS = 5.0
STREAM_IDLE_SECONDS = 60.0
"""A stream of requests without one for so long is ended."""
_MAX_MESSAGE_BYTES = 16 * 1_048_576
_DETAILS: Final = "grpc-status-details-bin"
"""Where `google.rpc.Status` stands in the trailing metadata, of which a client takes 8 KiB."""
_MOST_FAULTS: Final = 10
_LONGEST: Final = 200
"""Characters of what came; callers send anything."""


class Registration(Protocol):
    """Adds one servicer to a server, e.g. ``partial(add_FraudServiceServicer_to_server, servicer)``."""

    def __call__(self, server: grpc.aio.Server) -> None: ...


class GrpcServer:
    """A server with health and reflection; ``service_names`` are the full names of the proto services."""

    def __init__(
        self,
        host: str,
        port: int,
        registrations: Sequence[Registration],
        service_names: Sequence[str],
        readiness: Readiness,
    ) -> None:
        self._readiness = readiness
        self._service_names = tuple(service_names)
        self._server = grpc.aio.server(
            interceptors=[_ServerInterceptor()],
            options=[
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),
            ],
            maximum_concurrent_rpcs=1_000,
        )
        for register in registrations:
            register(self._server)
        self._health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*self._service_names, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME),
            self._server,
        )
        self.port = self._server.add_insecure_port(f"{host}:{port}")

    async def start(self) -> None:
        """Bind and serve; health stays NOT_SERVING until ``watch_health`` has seen the service ready."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.start()

    async def watch_health(self, stop: asyncio.Event) -> None:
        """Keep the health service equal to the readiness checks."""
        while not stop.is_set():
            ready = self._readiness.is_ready(await self._readiness.faults())
            await self._set_health(
                health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
            )
            try:
                async with asyncio.timeout(1.0 if ready else 0.2):
                    await stop.wait()
            except TimeoutError:
                continue

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, let running ones finish within the grace, cancel the rest."""
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(grace_seconds)

    async def _set_health(self, status: Any) -> None:
        for name in ("", *self._service_names):
            await self._health.set(name, status)


class _ServerInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Span, duration, deadline and error mapping around each call, unary or streaming."""

    def __init__(self) -> None:
        self._duration = meter().create_histogram(
            "rpc.server.call.duration", unit="s", description="Duration of inbound calls"
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method.removeprefix("/")
        if handler is None or method.startswith("grpc."):
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        if handler.unary_unary:
            inner = handler.unary_unary

            async def unary(request: Any, context: grpc.aio.ServicerContext) -> Any:
                async with self._around(method, metadata, context):
                    return await inner(request, context)

            return grpc.unary_unary_rpc_method_handler(unary, handler.request_deserializer, handler.response_serializer)
        if handler.unary_stream:
            inner_stream = handler.unary_stream

            async def stream(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
                async with self._around(method, metadata, context):
                    async for message in inner_stream(request, context):
                        yield message

            return grpc.unary_stream_rpc_method_handler(
                stream, handler.request_deserializer, handler.response_serializer
            )
        if handler.stream_stream:
            inner_both = handler.stream_stream

            async def both(requests: AsyncIterator[Any], context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
                # A stream may stay open for as long as requests come: what bounds it is the pause between them.
                async with self._around(method, metadata, context, deadline=False):
                    async for message in inner_both(_while_they_come(requests), context):
                        yield message

            return grpc.stream_stream_rpc_method_handler(
                both, handler.request_deserializer, handler.response_serializer
            )
        return handler

    @asynccontextmanager
    async def _around(
        self, method: str, metadata: dict[str, Any], context: grpc.aio.ServicerContext, *, deadline: bool = True
    ) -> AsyncIterator[None]:
        attributes = {"rpc.system.name": "grpc", "rpc.method": method}
        started = time.perf_counter()
        status = grpc.StatusCode.OK
        with tracer().start_as_current_span(
            method,
            context=context_of(metadata.get("traceparent")),
            kind=trace.SpanKind.SERVER,
            attributes=attributes,
            record_exception=False,
        ) as span:
            try:
                if deadline and context.time_remaining() is None:
                    status = grpc.StatusCode.INVALID_ARGUMENT
                    await context.abort(status, "set a deadline: a call without one can wait for ever")
                with statement_spans_if_sampled():
                    yield
            except Problem as problem:
                status = _STATUS_OF_HTTP.get(problem.status, grpc.StatusCode.INTERNAL)
                await context.abort(status, _describe(problem), _details(status, problem))
            except RetryError as error:
                status = grpc.StatusCode.UNAVAILABLE
                log.warning("call failed for want of a part", rpc=method, error=str(error))
                await context.abort(status, "a part that this needs does not answer now")
            except TimeoutError:
                status = grpc.StatusCode.DEADLINE_EXCEEDED
                await context.abort(status, "the call did not finish in time")
            except QuarantineError as error:
                status = grpc.StatusCode.INVALID_ARGUMENT
                await context.abort(status, str(error))
            except asyncio.CancelledError:
                status = grpc.StatusCode.CANCELLED
                raise
            except grpc.aio.AbortError:
                raise
            except Exception:
                status = grpc.StatusCode.INTERNAL
                log.exception("unhandled error in a call", rpc=method)
                await context.abort(status, "the error was recorded; please give support the trace id")
            finally:
                code = status.name
                span.set_attribute("rpc.status_code", code)
                if status not in (grpc.StatusCode.OK, grpc.StatusCode.CANCELLED):
                    span.set_status(trace.StatusCode.ERROR, code)
                self._duration.record(time.perf_counter() - started, {**attributes, "rpc.status_code": code})


async def _while_they_come(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """The requests of a stream; ``TimeoutError`` when none comes for a while."""
    while True:
        try:
            async with asyncio.timeout(STREAM_IDLE_SECONDS):
                request = await anext(requests)
        except StopAsyncIteration:
            return
        yield request


def caller_of(context: grpc.aio.ServicerContext, authenticator: Authenticator, action: Action) -> Principal:
    """The caller of a gRPC method, by the same credentials as over HTTP (metadata ``x-api-key`` or ``authorization``)."""
    metadata = {name: value for name, value in context.invocation_metadata() or () if isinstance(value, str)}
    caller = authenticator.authenticate(api_key=metadata.get("x-api-key"), authorization=metadata.get("authorization"))
    require(caller, action)
    return caller


def _describe(problem: Problem) -> str:
    faults = "; ".join(f"{_place(fault) or 'as a whole'}: {_wrong(fault)}" for fault in problem.errors[:_MOST_FAULTS])
    return f"{problem.detail or problem.title}{' (' + faults + ')' if faults else ''}"


def _details(status: grpc.StatusCode, problem: Problem) -> tuple[tuple[str, bytes], ...]:
    """For programs: `google.rpc.BadRequest`, whose fields are JSON pointers; of the request as a whole, as RFC 6901 has it, the empty one."""
    if status is not grpc.StatusCode.INVALID_ARGUMENT:
        return ()
    violations = [(_place(fault), _wrong(fault)) for fault in problem.errors[:_MOST_FAULTS]]
    bad_request = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in violations or [("", _shortened(problem.detail or problem.title))]
        ]
    )
    whole = status_pb2.Status(code=status.value[0], message=_shortened(problem.detail or problem.title))
    whole.details.add().Pack(bad_request)
    return ((_DETAILS, whole.SerializeToString()),)


def _place(fault: FieldError) -> str:
    return _shortened(fault.pointer or fault.parameter)


def _wrong(fault: FieldError) -> str:
    return f"expected {_shortened(fault.expected)}, got {_shortened(fault.got)}"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


class _UnaryClientInterceptor(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    async def intercept_unary_unary(self, continuation: Any, details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        return await continuation(_with_deadline_and_trace(details), request)


class _StreamClientInterceptor(grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc]
    async def intercept_unary_stream(self, continuation: Any, details: grpc.aio.ClientCallDetails, request: Any) -> Any:
        return await continuation(_with_deadline_and_trace(details), request)


def _with_deadline_and_trace(details: grpc.aio.ClientCallDetails) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    traceparent = traceparent_of()
    if traceparent is not None and "traceparent" not in metadata:
        metadata.add("traceparent", traceparent)
    return grpc.aio.ClientCallDetails(
        method=details.method,
        timeout=details.timeout if details.timeout is not None else DEFAULT_DEADLINE_SECONDS,
        metadata=metadata,
        credentials=details.credentials,
        wait_for_ready=details.wait_for_ready,
    )


@asynccontextmanager
async def grpc_channel(target: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel whose calls carry the trace and a deadline (5 s unless the call gives one)."""
    channel = grpc.aio.insecure_channel(
        target,
        interceptors=[_UnaryClientInterceptor(), _StreamClientInterceptor()],
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ],
    )
    try:
        yield channel
    finally:
        await channel.close(grace=1)
