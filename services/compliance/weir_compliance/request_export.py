"""Take a request for a copy of a person's data: durable first, then started."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from weir_common.audit import AuditEntry
from weir_common.auth import Principal
from weir_common.errors import RetryError
from weir_common.ids import TenantId, uuid7
from weir_common.problems import Conflict, FieldError, InvalidRequest
from weir_common.telemetry import meter

from weir_compliance.domain.deadline import due_at
from weir_compliance.domain.request_state import RequestKind
from weir_compliance.domain.subject_request import NewRequest, Particulars
from weir_compliance.ports import Clock, Received, Regimes, RequestWorkflows, SubjectRequests

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, repr=False)
class ExportCommand:
    """`body_digest` is SHA-256 of what was asked, so that a reused idempotency key for something else is noticed."""

    tenant_id: TenantId
    regime: str
    particulars: Particulars
    recipient: str | None
    idempotency_key: str | None
    body_digest: bytes


class RequestExport:
    """Receives a request. Once this returns, the request is carried out, whatever dies."""

    def __init__(self, requests: SubjectRequests, regimes: Regimes, workflows: RequestWorkflows, clock: Clock) -> None:
        self._requests = requests
        self._regimes = regimes
        self._workflows = workflows
        self._clock = clock
        self._received = meter().create_counter(
            "weir.compliance.requests", unit="{request}", description="Requests received, repeats left out"
        )

    async def __call__(self, caller: Principal, command: ExportCommand) -> Received:
        """InvalidRequest for a regime that is not known, Conflict for an idempotency key used for another request."""
        rule = await self._regimes.answer_period(command.regime, RequestKind.ACCESS)
        if rule is None:
            raise InvalidRequest(
                "No rule is known for this regime.",
                errors=[FieldError("/regime", "a regime that this deployment answers for: gdpr, ccpa", command.regime)],
            )
        period, holidays = rule
        request_id = UUID(str(uuid7()))
        received_at = self._clock()
        received = await self._requests.receive(
            NewRequest(
                tenant_id=command.tenant_id,
                request_id=request_id,
                kind=RequestKind.ACCESS,
                regime=command.regime,
                particulars=command.particulars,
                recipient=command.recipient,
                requested_by=caller.subject,
                idempotency_key=command.idempotency_key,
                body_digest=command.body_digest,
                received_at=received_at,
                due_at=due_at(received_at, period, holidays),
            ),
            AuditEntry(
                tenant_id=command.tenant_id,
                actor=caller.subject,
                actor_kind=caller.kind,
                action="subject_request.receive",
                object_ref=f"subject_request/{request_id}",
                outcome="success",
                detail={"kind": RequestKind.ACCESS, "regime": command.regime},
                service="compliance",
            ),
        )
        if not received.created and received.request.body_digest != command.body_digest:
            raise Conflict(
                "The Idempotency-Key was used for another request; a new request needs a new key.",
                slug="idempotency-key-reused",
                status=422,
            )
        if received.created:
            self._received.add(1, {"weir.regime": command.regime})
        try:
            await self._workflows.start_waiting()
        except RetryError as error:
            # The request and the order to start it are in the database; the starter tries again until it is running.
            log.warning("request waits for Temporal", request_id=str(received.request.request_id), error=str(error))
        return received
