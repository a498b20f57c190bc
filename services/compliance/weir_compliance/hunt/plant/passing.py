"""Requests whose values the mesh sees but has no reason to keep: refused events, headers, paths, parameters. Pure, seeded."""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Final
from urllib.parse import quote

from weir_compliance.hunt.plant.events import planted_events
from weir_compliance.hunt.plant.identities import PATTERNS, Identities
from weir_compliance.hunt.planted import Planted

BATCH: Final = "/api/v2/events/batch"
_JSON: Final = {"content-type": "application/json"}
_HEADERS: Final = (
    "user-agent",
    "referer",
    "cookie",
    "x-forwarded-for",
    "x-request-id",
    "x-correlation-id",
    "baggage",
    "tracestate",
    "ce-subject",
    "idempotency-key",
    "accept-language",
)
_PATHS: Final = (
    "/api/v2/events/receipts/{}",
    "/api/v2/ml/decisions/{}",
    "/api/v2/anomalies/{}",
    "/api/v2/data/export/gdpr/{}",
    "/api/v2/schemas/event/{}",
    "/account/{}",
)
_QUERIES: Final = (
    "/api/v2/analytics/realtime/dashboard?tenant_id={}",
    "/api/v2/anomalies/active?email={}",
    "/api/v2/metrics/sla?tenant_id={}",
    "/api/v2/ops/ledger?timeframe={}",
    "/api/v2/audit/entries?cursor={}",
    "/api/v2/events/receipts/6f1e2d3c-0a9b-4c8d-9e7f-112233445566?email={}",
)
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class PassingRequest:
    """One HTTP request; ``credential``: None sends the tenant's key, otherwise these headers stand in its place."""

    method: str
    target: str
    planted: Planted
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    credential: Mapping[str, str] | None = None


def passing_requests(tenant_id: str, seed: str, now: datetime) -> Iterator[PassingRequest]:
    """Each kind `_ROUNDS` times with other values."""
    random = Random(f"passing/{seed}/{tenant_id}")  # noqa: S311 - seeded on purpose
    identities = Identities(random)
    for number in range(_ROUNDS):
        values = _Values(identities, number)
        event = _plain_event(tenant_id, f"{seed}/{number}", now)
        yield from _in_headers(values)
        yield from _in_addresses(values)
        yield from _in_credentials(values)
        yield from _in_refused_events(values, event, identities)


def export_words(tenant_id: str, seed: str) -> list[Planted]:
    """What people write into a subject request: its reason, their reference, the key by which they repeat it."""
    identities = Identities(Random(f"export/{seed}/{tenant_id}"))  # noqa: S311 - seeded on purpose
    kinds = ("export:reason", "export:reference", "export:idempotency-key")
    return [Planted(f"{kind}#0", identities.email().replace("ü", "u"), kind, kept=False) for kind in kinds]


class _Values:
    """Numbers the values of one round."""

    def __init__(self, identities: Identities, number: int) -> None:
        self._identities = identities
        self._number = number

    def one(self, kind: str) -> Planted:
        # Headers are ASCII.
        value = self._identities.pattern(PATTERNS[self._number % len(PATTERNS)]).replace("ü", "u")
        return Planted(f"{kind}#{self._number}", value, kind, kept=False)


def _in_headers(values: _Values) -> Iterator[PassingRequest]:
    for name in _HEADERS:
        planted = values.one(f"header:{name}")
        value = f"lang={quote(planted.value, safe='')}" if name in ("baggage", "tracestate") else planted.value
        yield PassingRequest("GET", "/api/v2/ml/models/fraud", planted, {name: value})
        planted = values.one(f"header:{name}(post)")
        value = f"lang={quote(planted.value, safe='')}" if name in ("baggage", "tracestate") else planted.value
        # Nothing in it is an event, so nothing of it is kept.
        yield PassingRequest(
            "POST", BATCH, planted, {name: value, "content-type": "application/x-ndjson"}, b'{"a":1}\n'
        )


def _in_addresses(values: _Values) -> Iterator[PassingRequest]:
    for target in _PATHS:
        planted = values.one(f"path:{target.format('*')}")
        yield PassingRequest("GET", target.format(quote(planted.value, safe="")), planted)
    for target in _QUERIES:
        planted = values.one(f"query:{target.format('*')}")
        yield PassingRequest("GET", target.format(quote(planted.value, safe="")), planted)


def _in_credentials(values: _Values) -> Iterator[PassingRequest]:
    planted = values.one("credential:x-api-key")
    yield PassingRequest("GET", "/api/v2/metrics/sla", planted, credential={"x-api-key": planted.value})
    planted = values.one("credential:bearer")
    yield PassingRequest("GET", "/api/v2/metrics/sla", planted, credential={"authorization": f"Bearer {planted.value}"})


def _in_refused_events(values: _Values, event: dict[str, Any], identities: Identities) -> Iterator[PassingRequest]:
    for kind, pointer in (
        ("refused:subtype", ("event_data", "event_subtype")),
        ("refused:event_id", ("event_metadata", "event_id")),
        ("refused:timestamp", ("event_metadata", "timestamp")),
        (
            "refused:country",
            ("event_data", "user_context", "session_data", "session_attributes", "geolocation", "country"),
        ),
        ("refused:schema_version", ("schema_version",)),
        ("refused:tenant_id", ("tenant_id",)),
    ):
        planted = values.one(kind)
        wrong = copy.deepcopy(event)
        _set(wrong, pointer, planted.value)
        # Its answer, which says what is wrong, is kept for whoever repeats the request.
        headers = {**_JSON, "idempotency-key": identities.uuid()}
        yield PassingRequest("POST", BATCH, planted, headers, json.dumps({"events": [wrong]}).encode())
        planted = values.one(f"{kind}(inference)")
        wrong = copy.deepcopy(event)
        _set(wrong, pointer, planted.value)
        yield PassingRequest(
            "POST", "/api/v2/ml/inference/fraud", planted, _JSON, json.dumps({"event": wrong}).encode()
        )
    planted = values.one("refused:beside-a-fault")
    wrong = copy.deepcopy(event)
    _set(wrong, ("event_data", "user_context", "user_id"), planted.value)
    _set(wrong, ("event_data", "event_type"), "no_such_type")
    yield PassingRequest("POST", BATCH, planted, _JSON, json.dumps({"events": [wrong]}).encode())
    planted = values.one("refused:broken-json")
    yield PassingRequest("POST", BATCH, planted, _JSON, f'{{"events": [{{"user": "{planted.value}"'.encode())
    planted = values.one("refused:broken-line")
    line = f'{{"user": "{planted.value}"\n'.encode()
    yield PassingRequest("POST", BATCH, planted, {"content-type": "application/x-ndjson"}, line)
    planted = values.one("refused:content-type")
    yield PassingRequest("POST", BATCH, planted, {"content-type": f"text/{quote(planted.value, safe='')}"}, b"{}")


def _plain_event(tenant_id: str, seed: str, now: datetime) -> dict[str, Any]:
    return next(planted_events(tenant_id, seed, 1, now)).event | {"partition_key": "plain"}


def _set(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, last = path
    for name in parents:
        document = document.setdefault(name, {})
    document[last] = value
