"""Somebody has to look at a request: a store is late or refuses, or the answer is nearly due."""

from uuid import UUID

import structlog
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_compliance.ports import Clock, SubjectRequests

log = structlog.get_logger(__name__)


class EscalateRequest:
    """Marks the request, audits, logs and counts; whoever is on call hears it from there."""

    def __init__(self, requests: SubjectRequests, clock: Clock) -> None:
        self._requests = requests
        self._clock = clock
        self._escalations = meter().create_counter(
            "weir.compliance.request.escalations", unit="{request}", description="Requests that somebody must look at"
        )

    async def __call__(self, tenant_id: TenantId, request_id: UUID, reason: str, store: str) -> None:
        entry = AuditEntry(
            tenant_id=tenant_id,
            actor="compliance",
            actor_kind="service",
            action="subject_request.escalate",
            object_ref=f"subject_request/{request_id}",
            outcome="success",
            detail={"reason": reason, "store": store} if store else {"reason": reason},
            service="compliance",
        )
        await self._requests.escalate(tenant_id, request_id, reason, self._clock(), entry)
        log.error("subject request needs a person", request_id=str(request_id), reason=reason, store=store)
        self._escalations.add(1, {"weir.reason": reason})
