"""Send planted values through the gateway, in every form that it takes."""

import asyncio
import base64
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import grpc
import httpx
import zstandard
from weir.ingest.v1 import ingest_pb2, ingest_pb2_grpc

from weir_compliance.hunt.plant.events import PlantedEvent, planted_events
from weir_compliance.hunt.plant.passing import BATCH, PassingRequest, export_words, passing_requests
from weir_compliance.hunt.planted import Planted

INFERENCE: Final = "/api/v2/ml/inference/fraud"
EXPORT: Final = "/api/v2/data/export/gdpr"
_SECONDS: Final = 20.0
_TRIES: Final = 30
_SAMPLED: Final = "00-{:032x}-{:016x}-01"


class PlantFaultError(Exception):
    """The mesh did not take what it must take. The text has no value in it."""


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """A client of the gateway, a channel to its gRPC listener, and a tenant's key."""

    client: httpx.AsyncClient
    channel: grpc.aio.Channel
    tenant_id: str
    api_key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.api_key}


@dataclass(slots=True)
class Planting:
    """What was sent: values, accepted events, and how passing requests were answered (status → count)."""

    planted: list[Planted] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)
    carriers: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    exports: list[str] = field(default_factory=list)

    @property
    def arrivals(self) -> list[Planted]:
        """What stands for the accepted events until they are everywhere: their ids, which stay open when values are sealed."""
        return [Planted(f"event-{number}", one, "open: event_id") for number, one in enumerate(self.event_ids)]


async def plant(door: FrontDoor, seed: str, values: int) -> Planting:
    """Send ``values`` values that the mesh keeps, then those that it must forget. Raises `PlantFaultError`, httpx and gRPC errors."""
    now = datetime.now(UTC)
    planting = Planting()
    for number, one in enumerate(planted_events(door.tenant_id, seed, values, now)):
        carrier = _CARRIERS[number % len(_CARRIERS)]
        # Every second request is traced: a span that nobody records could not tell anything.
        trace = {"traceparent": _SAMPLED.format(number + 1, number + 1)} if number % 2 else {}
        await _until_taken(door, carrier, one, trace)
        if number % 3 == 0:
            await _score(door, one, trace)
        planting.carriers[carrier] += 1
        planting.planted += one.planted
        planting.event_ids.append(one.event_id)
    for request in passing_requests(door.tenant_id, seed, now):
        planting.answers[await _pass_by(door, request)] += 1
        planting.planted.append(request.planted)
    subject = next(one for one in planting.planted if one.kind.endswith("/user_id"))
    words = export_words(door.tenant_id, seed)
    planting.exports.append(await _ask_for_export(door, subject, words))
    planting.planted += words
    return planting


# ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────────────


async def _until_taken(door: FrontDoor, carrier: str, one: PlantedEvent, trace: Mapping[str, str]) -> None:
    for _ in range(_TRIES):
        status = await (_publish(door, one) if carrier == "grpc" else _post(door, carrier, one, trace))
        if status in ("accepted", "duplicate"):
            return
        if status not in ("unavailable", "throttled"):
            raise PlantFaultError(f"a planted event in the form {carrier}, version {one.version}, is {status}")
        await asyncio.sleep(0.5)
    raise PlantFaultError(f"a planted event in the form {carrier} was not taken in {_TRIES} tries")


async def _post(door: FrontDoor, carrier: str, one: PlantedEvent, trace: Mapping[str, str]) -> str:
    headers, body = _form(carrier, one)
    answer = await door.client.post(BATCH, content=body, headers={**door.headers, **headers, **trace})
    if answer.status_code in (429, 503):
        return "unavailable"
    if answer.status_code not in (202, 207, 422):
        return f"answered {answer.status_code}"
    result = answer.json()["results"][0]
    # The pointers only: what stands there is a planted value.
    return str(result["status"]) + "".join(f" {fault.get('pointer')}" for fault in result.get("errors") or ())


def _form(carrier: str, one: PlantedEvent) -> tuple[dict[str, str], bytes]:
    event = json.dumps(one.event, ensure_ascii=False).encode()
    batch = b'{"events":[' + event + b"]}"
    match carrier:
        case "batch":
            return {"content-type": "application/json"}, batch
        case "batch gzip":
            return {"content-type": "application/json", "content-encoding": "gzip"}, gzip.compress(batch)
        case "batch zstd":
            packed = zstandard.ZstdCompressor().compress(batch)
            return {"content-type": "application/json", "content-encoding": "zstd"}, packed
        case "lines":
            return {"content-type": "application/x-ndjson"}, event + b"\n"
        case "cloudevent":
            body = json.dumps({**_attributes(one), "data": one.event}).encode()
            return {"content-type": "application/cloudevents+json"}, body
        case "cloudevent base64":
            body = json.dumps({**_attributes(one), "data_base64": base64.b64encode(event).decode()}).encode()
            return {"content-type": "application/cloudevents+json"}, body
        case _:
            raise ValueError(f"there is no form {carrier}")


def _attributes(one: PlantedEvent) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": one.event_id,
        "source": "/planter",
        "type": "shop.transaction.purchase",
        "datacontenttype": "application/json",
    }


_CARRIERS: Final = ("batch", "lines", "cloudevent", "grpc", "batch gzip", "cloudevent base64", "batch zstd")


async def _publish(door: FrontDoor, one: PlantedEvent) -> str:
    async def requests() -> AsyncIterator[ingest_pb2.PublishRequest]:
        event = json.dumps(one.event).encode()
        yield ingest_pb2.PublishRequest(tenant_id=door.tenant_id, sequence=1, events=[event])

    call = ingest_pb2_grpc.IngestServiceStub(door.channel).Publish(
        requests(), metadata=(("x-api-key", door.api_key),), timeout=_SECONDS
    )
    status = "without an answer"
    async for response in call:
        name = ingest_pb2.EventStatus.Name(response.results[0].status)
        status = name.removeprefix("EVENT_STATUS_").lower()
    return status


async def _score(door: FrontDoor, one: PlantedEvent, trace: Mapping[str, str]) -> None:
    if one.version == "2.0":
        return  # the endpoint takes the versions that the log has
    answer = await door.client.post(INFERENCE, json={"event": one.event}, headers={**door.headers, **trace})
    if answer.status_code != 200:
        raise PlantFaultError(f"{INFERENCE} answered {answer.status_code}")


# ── what passes ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def _pass_by(door: FrontDoor, request: PassingRequest) -> int:
    credential = door.headers if request.credential is None else request.credential
    headers = {**credential, **request.headers, "traceparent": _SAMPLED.format(7, 7)}
    answer = await door.client.request(request.method, request.target, content=request.body, headers=headers)
    return answer.status_code


async def _ask_for_export(door: FrontDoor, subject: Planted, words: Sequence[Planted]) -> str:
    """A person's own request names them: the identifier, the words and the reference must not be kept in clear, either."""
    reason, reference, key = words
    body = {
        "tenant_id": door.tenant_id,
        "subject": {"user_id": subject.value},
        "reason": f"asked by {reason.value}",
        "reference": reference.value,
    }
    headers = {**door.headers, "idempotency-key": key.value, "traceparent": _SAMPLED.format(8, 8)}
    answer = await door.client.post(EXPORT, json=body, headers=headers)
    if answer.status_code != 202:
        raise PlantFaultError(f"{EXPORT} answered {answer.status_code}")
    return str(answer.json()["request_id"])
