"""`ComplianceService`: subject requests and the audit head for internal callers."""

from datetime import datetime
from uuid import UUID

import grpc.aio
import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from weir.compliance.v1 import compliance_pb2, compliance_pb2_grpc
from weir_common.auth import Principal
from weir_common.http import field_error
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest

from weir_compliance.domain.request_state import RequestState
from weir_compliance.domain.subject_request import SubjectRequest
from weir_compliance.entrypoints.export_body import ExportBody, export_command
from weir_compliance.fetch_export import FetchExport
from weir_compliance.ports import AuditLog
from weir_compliance.request_export import RequestExport

_STATUS = {
    RequestState.RECEIVED: compliance_pb2.RIGHTS_STATUS_OPEN,
    RequestState.RUNNING: compliance_pb2.RIGHTS_STATUS_IN_PROGRESS,
    RequestState.FULFILLED: compliance_pb2.RIGHTS_STATUS_FULFILLED,
    RequestState.EXPIRED: compliance_pb2.RIGHTS_STATUS_EXPIRED,
}


class GrpcCompliance(compliance_pb2_grpc.ComplianceServiceServicer):
    """Decode, call, answer; Problems are mapped to statuses by the server."""

    def __init__(self, request_export: RequestExport, fetch: FetchExport, log: AuditLog) -> None:
        self._request_export = request_export
        self._fetch = fetch
        self._log = log

    async def StartExport(  # noqa: N802 - the name in the contract
        self, request: compliance_pb2.StartExportRequest, context: grpc.aio.ServicerContext
    ) -> compliance_pb2.StartExportResponse:
        required = (("idempotency_key", request.idempotency_key), ("requested_by", request.requested_by))
        missing = [FieldError(f"/{name}", "a value (required)", "nothing") for name, value in required if not value]
        if missing:
            raise InvalidRequest("The request cannot be carried out as it is.", errors=missing)
        received = await self._request_export(
            Principal(tenant_id=None, subject=request.requested_by, kind="service", roles=frozenset()),
            export_command(_body(request), request.idempotency_key),
        )
        return compliance_pb2.StartExportResponse(request=_message(received.request))

    async def GetSubjectRequest(  # noqa: N802 - the name in the contract
        self, request: compliance_pb2.GetSubjectRequestRequest, context: grpc.aio.ServicerContext
    ) -> compliance_pb2.GetSubjectRequestResponse:
        try:
            request_id = UUID(request.request_id)
        except ValueError:
            # Not echoed: a caller that mixes its arguments up may have put anything here.
            raise InvalidRequest("Not a request id.", errors=[FieldError("/request_id", "a UUID", "")]) from None
        found = await self._fetch.request(TenantId(request.tenant_id), request_id)
        return compliance_pb2.GetSubjectRequestResponse(request=_message(found))

    async def GetAuditHead(  # noqa: N802 - the name in the contract
        self, request: compliance_pb2.GetAuditHeadRequest, context: grpc.aio.ServicerContext
    ) -> compliance_pb2.GetAuditHeadResponse:
        head = await self._log.head(TenantId(request.tenant_id))
        return compliance_pb2.GetAuditHeadResponse(log_id=head.log_id, size=head.size, hash=head.hash)


def _body(request: compliance_pb2.StartExportRequest) -> ExportBody:
    """The same checks as for the public endpoint."""
    fields = {
        "tenant_id": request.tenant_id,
        "subject": {
            "user_id": list(request.subject.user_ids) or None,
            "anonymous_id": list(request.subject.anonymous_ids) or None,
        },
        "regime": request.regime or "gdpr",
        "reason": request.reason,
        "reference": request.reference,
        "recipient": request.recipient or None,
    }
    try:
        return msgspec.convert(fields, ExportBody)
    except msgspec.ValidationError as error:
        raise InvalidRequest("The request cannot be carried out as it is.", errors=[field_error(error)]) from None


def _message(request: SubjectRequest) -> compliance_pb2.SubjectRequest:
    return compliance_pb2.SubjectRequest(
        tenant_id=request.tenant_id,
        request_id=str(request.request_id),
        kind=request.kind,
        regime=request.regime,
        status=_STATUS[request.state],
        received_at=_timestamp(request.received_at),
        due_at=_timestamp(request.due_at),
        stores=[
            compliance_pb2.StoreProgress(
                store=task.store,
                state=task.state,
                attempts=task.attempts,
                records=0 if task.receipt is None else task.receipt.records,
                error_code=task.error_code or "",
            )
            for _, task in sorted(request.tasks.items())
        ],
        escalation=request.escalation or "",
    )


def _timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message
