"""All that the hunter and the planter know of the native mesh. Only commands import it: the service has no `weir_local`."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import grpc
from weir_common.ids import TenantId
from weir_local import certificates
from weir_local.addresses import addresses
from weir_local.components.postgres import SUPERUSER, binaries
from weir_local.components.valkey import OPERATOR
from weir_local.demo.api import Gateway
from weir_local.environment import DATABASE
from weir_local.mesh import Mesh
from weir_local.privileges import postgres_runner

from weir_compliance.adapters.export_key import read_export_keys
from weir_compliance.adapters.payload_codec import SealingCodec
from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.mesh_stores import Places, stores_of
from weir_compliance.hunt.plant.front_door import EXPORT, FrontDoor
from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.ports import Store
from weir_compliance.hunt.prove import BlindError, Canary
from weir_compliance.hunt.search import StoreReport, note
from weir_compliance.hunt.stores.lake import Lake

KNOWN_SECONDS: Final = 30.0
"""Until every service knows a new tenant's key."""

ARRIVED_SECONDS: Final = 120.0
"""Until each consumer has done, and the lake has, what was accepted: the lake commits three times a minute."""

_SAMPLED: Final = "00-{}-{}-01"
_PROBES: Final = (
    "/api/v2/analytics/realtime/dashboard?tenant_id={}",
    "/api/v2/ml/models/fraud",
    "/api/v2/anomalies/active?tenant_id={}",
    "/api/v2/metrics/sla",
    "/api/v2/audit/entries?tenant_id={}",
    "/api/v2/events/receipts/6f1e2d3c-0a9b-4c8d-9e7f-112233445566",
)


def places_of(mesh: Mesh) -> Places:
    """Where everything of this mesh lies, with the credentials of its operator."""
    where = addresses(mesh)
    runner = postgres_runner(mesh.state, binaries())
    return Places(
        state=mesh.state,
        kafka=where.kafka,
        kafka_data=mesh.state / "kafka" / "data",
        lake=where.lake,
        postgres_dsn=f"postgresql://{SUPERUSER}:{mesh.secret('postgres-superuser')}@{where.postgres}/{DATABASE}",
        postgres_data=runner.data,
        waldump=runner.binaries / "bin" / "pg_waldump",
        valkey_url=f"redis://{OPERATOR}:{mesh.secret(f'valkey-{OPERATOR}')}@{where.valkey}",
        valkey_data=mesh.state / "valkey",
        temporal=where.temporal,
        temporal_database=mesh.state / "temporal" / "temporal.db",
        traces_database=mesh.state / "traces" / "traces.db",
        logs=mesh.state / "logs",
        exports=where.exports,
    )


def native_stores(mesh: Mesh) -> Sequence[Store]:
    """Every store of this mesh."""
    return stores_of(places_of(mesh), SealingCodec(read_export_keys(addresses(mesh).exports_key)))


@dataclass(frozen=True, slots=True)
class Opened:
    """A new tenant's way in, and the operator's."""

    gateway: Gateway
    door: FrontDoor


@asynccontextmanager
async def throw_away_tenant(mesh: Mesh, tenant_id: str | None = None) -> AsyncIterator[Opened]:
    """A tenant of its own, with a key that every service knows. Raises httpx errors and `TimeoutError`."""
    tenant = TenantId(tenant_id or f"planted-{secrets.token_hex(6)}")
    async with Gateway.of(mesh) as gateway:
        body = {"tenant_id": tenant, "name": "Planted", "tier": "enterprise", "vertical": "grocery"}
        (await gateway.operator("POST", "/api/v2/admin/tenants", json=body)).raise_for_status()
        keys = await gateway.operator(
            "POST", f"/api/v2/admin/tenants/{tenant}/keys", json={"client": "planter", "roles": ["ingest", "owner"]}
        )
        keys.raise_for_status()
        async with _channel(mesh) as channel:
            door = FrontDoor(gateway.client, channel, tenant, keys.json()["api_key"])
            await _until_known(door)
            yield Opened(gateway, door)


async def _until_known(door: FrontDoor) -> None:
    async with asyncio.timeout(KNOWN_SECONDS):
        for probe in _PROBES:
            while True:
                answer = await door.client.get(probe.format(door.tenant_id), headers=door.headers)
                if answer.status_code not in (401, 503):
                    break
                await asyncio.sleep(0.1)


async def wait_until_arrived(
    mesh: Mesh, opened: Opened, accepted: int, in_lake: Sequence[Planted], since: float
) -> None:
    """Until each consumer has done ``accepted`` events and the lake has every value of ``in_lake``; ``since``: Unix time.

    Raises `BlindError` when that takes longer than ARRIVED_SECONDS.
    """
    deadline = time.monotonic() + ARRIVED_SECONDS
    matcher = Matcher(in_lake)
    wanted = {one.label for one in in_lake}
    while True:
        book = await _book(opened)
        done = [one["applied"] + one["quarantined"] for one in book["consumers"].values()]
        if done and min(done) >= accepted:
            report = StoreReport("lake")
            async for piece in Lake(addresses(mesh).lake, changed_since=since).pieces(matcher.longest):
                note(report, piece, matcher)
            if wanted <= report.labels:
                return
        if time.monotonic() > deadline:
            raise BlindError(
                f"after {ARRIVED_SECONDS:.0f} s not everything has arrived: {accepted} events accepted, each consumer did "
                f"{dict(zip(book['consumers'], done, strict=True))}; `weir ledger --tenant {opened.door.tenant_id}` says more"
            )
        await asyncio.sleep(2)


async def plant_canary(mesh: Mesh) -> list[Planted]:
    """Send open values as a tenant of their own, and wait until they are everywhere. Raises `BlindError`, httpx errors."""
    canary = Canary(f"canary-{secrets.token_hex(8)}", f"product-{secrets.token_hex(8)}")
    since = time.time() - 1
    async with throw_away_tenant(mesh, canary.tenant_id) as opened:
        door = opened.door
        event = canary.event(str(uuid.uuid4()), datetime.now(UTC))
        traced = _SAMPLED.format(secrets.token_hex(16), secrets.token_hex(8))
        await opened.gateway.send_batch(door.api_key, [event], traceparent=traced)
        body = {"tenant_id": door.tenant_id, "subject": {"user_id": event["event_data"]["user_context"]["user_id"]}}
        answer = await door.client.post(EXPORT, json=body, headers={**door.headers, "traceparent": traced})
        answer.raise_for_status()
        request_id = str(answer.json()["request_id"])
        await wait_until_exported(opened, request_id)
        planted = canary.planted(request_id)
        await wait_until_arrived(mesh, opened, 1, [one for one in planted if one.label == "canary-product"], since)
        return planted


async def wait_until_exported(opened: Opened, request_id: str) -> None:
    """Until the archive of a subject request lies there. Raises `BlindError` after ARRIVED_SECONDS."""
    deadline = time.monotonic() + ARRIVED_SECONDS
    while True:
        answer = await opened.door.client.get(f"{EXPORT}/{request_id}", headers=opened.door.headers)
        state = answer.json().get("status") if answer.status_code == 200 else f"answered {answer.status_code}"
        if state == "fulfilled":
            return
        if time.monotonic() > deadline:
            raise BlindError(f"the subject request {request_id} is {state} after {ARRIVED_SECONDS:.0f} s")
        await asyncio.sleep(0.5)


async def _book(opened: Opened) -> Mapping[str, Any]:
    parameters = {"tenant_id": opened.door.tenant_id, "timeframe": "1h", "only_differences": "true"}
    answer = await opened.gateway.operator("GET", "/api/v2/ops/ledger", params=parameters)
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document


def _channel(mesh: Mesh) -> grpc.aio.Channel:
    pair = certificates.client_certificate(mesh, "internal-client")
    credentials = grpc.ssl_channel_credentials(
        certificates.ca(mesh).certificate.read_bytes(), pair.key.read_bytes(), pair.certificate.read_bytes()
    )
    return grpc.aio.secure_channel(f"localhost:{mesh.port('gateway-grpc')}", credentials)
