"""`SubjectDataService` of compliance itself: the subject's own requests."""

from collections.abc import AsyncIterator

import grpc.aio
import msgspec
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest

from weir_compliance.domain.subject import Subject
from weir_compliance.domain.subject_request import SubjectRequest
from weir_compliance.ports import SubjectRequests

CATEGORY = "compliance.subject_request"


class ComplianceSubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """Audit entries are not here: they hold references to requests, keys and services, and no person."""

    def __init__(self, requests: SubjectRequests) -> None:
        self._requests = requests

    async def ExportSubject(  # noqa: N802 - the name in the contract
        self, request: subject_data_pb2.ExportSubjectRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        try:
            subject = Subject(tuple(request.subject.user_ids), tuple(request.subject.anonymous_ids))
        except ValueError as error:
            raise InvalidRequest("Not a subject.", errors=[FieldError("/subject", str(error), "")]) from None
        found = await self._requests.of_subject(TenantId(request.tenant_id), subject)
        for one in found:
            yield subject_data_pb2.ExportSubjectResponse(
                record=subject_data_pb2.SubjectRecord(
                    category=CATEGORY, record_id=str(one.request_id), json=_record(one)
                )
            )
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=len(found),
                explanation="Requests about this person, the present one included, as they stood when this was written.",
                processing=[
                    subject_data_pb2.ProcessingInfo(
                        category=CATEGORY,
                        purpose="answer requests about personal data and prove that they were answered",
                        legal_basis="legal obligation (GDPR Art. 6(1)(c))",
                        retention="24 months after the answer",
                    )
                ],
            )
        )


def _record(request: SubjectRequest) -> bytes:
    particulars = request.particulars
    return msgspec.json.encode(
        {
            "request_id": str(request.request_id),
            "kind": request.kind,
            "regime": request.regime,
            "state": request.state,
            "received_at": request.received_at,
            "due_at": request.due_at,
            "finished_at": request.finished_at,
            "user_ids": particulars.subject.user_ids,
            "anonymous_ids": particulars.subject.anonymous_ids,
            "reference": particulars.reference,
            "reason": particulars.reason,
            "recipient": request.recipient,
            "requested_by": request.requested_by,
        }
    )
