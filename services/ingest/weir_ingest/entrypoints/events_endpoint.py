"""``POST /api/v2/events/batch``: decode, call, encode; answered in front of the application, since every event passes it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import msgspec
import structlog
from weir_common.audit import AuditTrail
from weir_common.direct_endpoint import Answer, DirectRequest
from weir_common.errors import RetryError
from weir_common.problems import FieldError, InvalidRequest
from weir_common.telemetry import meter

from weir_ingest.accept_batch import AcceptBatch, EventResult, Status, TenantMismatch
from weir_ingest.admit_request import pause_header
from weir_ingest.domain.bodies import events_of, require_events, sizes_of
from weir_ingest.domain.compression import decompress
from weir_ingest.domain.idempotency import ClaimState, KeptAnswer, check_key, digest_of, refuse
from weir_ingest.domain.quota import Grant
from weir_ingest.entrypoints.tenant_mismatch import audit_mismatch
from weir_ingest.grant_quota import GrantQuota
from weir_ingest.ports import AnswerStore
from weir_ingest.settings import BatchLimits

log = structlog.get_logger(__name__)

PATH = "/api/v2/events/batch"
_BOOLEANS = {"true": True, "false": False, "1": True, "0": False, "": True}
_GOOD = (Status.ACCEPTED, Status.DUPLICATE)


class EventsEndpoint:
    """The handler of a ``DirectEndpoint``."""

    def __init__(
        self, accept: AcceptBatch, quota: GrantQuota, answers: AnswerStore, audit: AuditTrail, limits: BatchLimits
    ) -> None:
        self._accept = accept
        self._quota = quota
        self._answers = answers
        self._audit = audit
        self._limits = limits
        self._faults = meter().create_counter(
            "weir.ingest.idempotency.failures",
            unit="{request}",
            description="Requests whose key could not be looked up or kept",
        )

    async def __call__(self, request: DirectRequest) -> Answer:
        body = decompress(
            request.body, request.headers.get("content-encoding", ""), max_bytes=self._limits.max_body_bytes
        )
        key = request.headers.get("idempotency-key")
        if key is None:
            return await self._events(request, body)
        check_key(key)
        return await self._once(request, body, key)

    async def _once(self, request: DirectRequest, body: bytes, key: str) -> Answer:
        digest = digest_of(urlencode(sorted(request.query.items())), body)
        try:
            claim = await self._answers.claim(request.tenant_id, key, digest)
        except RetryError as error:
            # Without the store the request is done anew: its events are duplicates then, each with its own result.
            self._faults.add(1, {"weir.operation": "claim"})
            log.warning("idempotency keys cannot be looked up", error=str(error))
            return await self._events(request, body)
        if claim.state is ClaimState.DONE and claim.answer is not None:
            return Answer(claim.answer.status, bytes(claim.answer.body), {"idempotency-replayed": "true"})
        refuse(claim.state)
        answer: Answer | None = None
        try:
            answer = await self._events(request, body)
        finally:
            await self._settle(request, key, digest, answer)
        return answer

    async def _settle(self, request: DirectRequest, key: str, digest: str, answer: Answer | None) -> None:
        try:
            # An outage is no answer to keep: the same request may succeed next time.
            if answer is None or answer.status >= 500 or answer.status == 429:
                await self._answers.release(request.tenant_id, key)
            else:
                kept = KeptAnswer(answer.status, msgspec.Raw(answer.body))
                await self._answers.keep(request.tenant_id, key, digest, kept)
        except RetryError as error:
            self._faults.add(1, {"weir.operation": "keep"})
            log.warning("an answer could not be kept for its idempotency key", error=str(error))

    async def _events(self, request: DirectRequest, body: bytes) -> Answer:
        atomic = _flag(request.query, "atomic")
        quarantine = _flag(request.query, "quarantine", default="true")
        events = events_of(body, request.headers)
        require_events(events, max_events=self._limits.max_events)
        grant = await self._quota(request.tenant_id, sizes_of(events), atomic=atomic)
        try:
            results = await self._accept(
                request.tenant_id, events, atomic=atomic, granted=grant.events, quarantine=quarantine
            )
        except TenantMismatch:
            await audit_mismatch(self._audit, request.caller, request.tenant_id, f"POST {PATH}")
            raise
        return answer_of(results, grant, pause_header(request.tenant_id, grant))


def _flag(query: Mapping[str, str], name: str, *, default: str = "false") -> bool:
    value = query.get(name, default).lower()
    if value not in _BOOLEANS:
        raise InvalidRequest(
            f"The parameter '{name}' is not usable.",
            status=400,
            errors=[FieldError(parameter=name, expected="true or false", got=value[:60])],
        )
    return _BOOLEANS[value]


def answer_of(results: list[EventResult], grant: Grant, more: Mapping[str, str]) -> Answer:
    """``more``: further headers. 202 when every event is on the log, 207 when some are, else 503 or 429 (send again) or 422 (none is valid)."""
    counts = dict.fromkeys(Status, 0)
    for result in results:
        counts[result.status] += 1
    good = sum(counts[status] for status in _GOOD)
    headers = {**grant.headers, **more}
    if counts[Status.THROTTLED]:
        headers["Retry-After"] = str(grant.retry_after_seconds)
    if good == len(results):
        code = 202
    elif good:
        code = 207
    elif counts[Status.UNAVAILABLE]:
        code = 503
        headers.setdefault("Retry-After", "1")
    elif counts[Status.THROTTLED]:
        code = 429
    else:
        code = 422
    body = msgspec.json.encode({"results": results, "summary": {"received": len(results), **counts}})
    return Answer(code, body, headers, events=len(results))
