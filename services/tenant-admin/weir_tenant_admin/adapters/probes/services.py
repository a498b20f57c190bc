"""Probes of our own services: their gRPC health and their /readyz, which names what is wrong."""

from __future__ import annotations

import asyncio

import aiohttp
import grpc.aio
import msgspec
from grpc_health.v1 import health_pb2, health_pb2_grpc

from weir_tenant_admin.check_health import Answer, Detail
from weir_tenant_admin.domain.health import State

_DEADLINE_SECONDS = 1.5


class _Readyz(msgspec.Struct):
    status: str
    faults: dict[str, str] = {}


class ServiceProbe:
    """Up when both edges say so, degraded when one is not ready or something is wrong, down when the process does not answer."""

    kind = "service"

    def __init__(
        self,
        name: str,
        *,
        essential: bool,
        channel: grpc.aio.Channel | None,
        http: aiohttp.ClientSession,
        http_url: str | None,
    ) -> None:
        self.name = name
        self.essential = essential
        self._health = health_pb2_grpc.HealthStub(channel) if channel is not None else None
        self._http = http
        self._http_url = http_url

    async def ask(self) -> Answer:
        if self._health is None and self._http_url is None:
            return Answer(State.NOT_CONFIGURED, {"reason": "no address was given to tenant-admin"})
        (grpc_state, grpc_says), (http_state, http_detail) = await asyncio.gather(self._ask_grpc(), self._ask_http())
        detail: Detail = {"grpc": grpc_says, **http_detail}
        states = {grpc_state, http_state} - {State.NOT_CONFIGURED}
        if states == {State.UP}:
            return Answer(State.UP, detail)
        return Answer(State.DOWN if states == {State.DOWN} else State.DEGRADED, detail)

    async def _ask_grpc(self) -> tuple[State, str]:
        if self._health is None:
            return State.NOT_CONFIGURED, "not configured"
        try:
            answer = await self._health.Check(health_pb2.HealthCheckRequest(), timeout=_DEADLINE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return State.DOWN, error.code().name
        serving = answer.status == health_pb2.HealthCheckResponse.SERVING
        name = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
        return (State.UP if serving else State.DEGRADED), name

    async def _ask_http(self) -> tuple[State, Detail]:
        if self._http_url is None:
            return State.NOT_CONFIGURED, {"http": "not configured"}
        try:
            async with self._http.get(
                f"{self._http_url.rstrip('/')}/readyz", timeout=aiohttp.ClientTimeout(total=_DEADLINE_SECONDS)
            ) as answer:
                body = msgspec.json.decode(await answer.read(), type=_Readyz)
        except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError) as error:
            return State.DOWN, {"http": type(error).__name__}
        detail: Detail = {"http": body.status}
        if body.faults:
            detail["faults"] = [f"{check}: {fault}" for check, fault in sorted(body.faults.items())]
        # It may serve without what fails: then it is ready, and not whole.
        return (State.UP if answer.status == 200 and not body.faults else State.DEGRADED), detail
