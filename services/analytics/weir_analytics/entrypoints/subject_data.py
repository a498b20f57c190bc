"""``SubjectDataService``: what analytics holds about a data subject, for compliance."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import grpc.aio
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest

from weir_analytics.export_subject import ExportSubject, Subject

_PROCESSING: Final = (
    (
        "analytics.event",
        "What happened in the shop, for figures and their audit",
        "as the tenant's basis (Art. 6(1)(b) or (f))",
    ),
    ("analytics.decision", "Copy of fraud decisions, for the fraud rate", "legitimate interest (recital 47 GDPR)"),
    (
        "analytics.device_session",
        "Visits, for sessions and conversion; none from events whose subject refused analytics or tracking",
        "as the tenant's basis (Art. 6(1)(a) or (f))",
    ),
)


class AnalyticsSubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """Streams records as they are found."""

    def __init__(self, export_subject: ExportSubject) -> None:
        self._export_subject = export_subject

    async def ExportSubject(  # noqa: N802 - the name is the protocol's
        self,
        request: subject_data_pb2.ExportSubjectRequest,
        context: grpc.aio.ServicerContext,
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Records, then one summary."""
        # By the ids on the log; the merchant's own are those of events that were archived before they were protected.
        on_the_log = frozenset(request.subject.subject_ids)
        subject = Subject(
            on_the_log | frozenset(request.subject.user_ids), on_the_log | frozenset(request.subject.anonymous_ids)
        )
        if not request.tenant_id:
            raise InvalidRequest(errors=[FieldError("/tenant_id", "a tenant's id", "nothing")])
        if not subject.users and not subject.visitors:
            raise InvalidRequest(errors=[FieldError("/subject", "at least one identifier", "nothing")])
        count = 0
        async for record in self._export_subject(TenantId(request.tenant_id), subject):
            count += 1
            yield subject_data_pb2.ExportSubjectResponse(
                record=subject_data_pb2.SubjectRecord(
                    category=record.category, record_id=record.record_id, json=record.json
                )
            )
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=count,
                explanation="" if count else "No event of this subject is in the archive.",
                processing=[
                    subject_data_pb2.ProcessingInfo(
                        category=category, purpose=purpose, legal_basis=basis, retention="as the tenant's plan"
                    )
                    for category, purpose, basis in _PROCESSING
                ],
            )
        )
