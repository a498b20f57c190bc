"""``AnomalyService`` for internal systems, and the findings that concern a data subject."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import grpc.aio
import msgspec
from google.protobuf.timestamp_pb2 import Timestamp
from weir.anomaly.v1 import anomaly_pb2, anomaly_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.auth import Action, Authenticator
from weir_common.grpc import caller_of
from weir_common.ids import TenantId
from weir_common.pagination import decode_time_and_id, encode_cursor
from weir_common.problems import FieldError, Forbidden, InvalidRequest, NotFound

from weir_anomaly.domain.finding import Finding
from weir_anomaly.domain.severity import Severity
from weir_anomaly.entrypoints.documents import finding_document
from weir_anomaly.ports import FindingReader

_SEVERITIES = {
    Severity.INFO: anomaly_pb2.SEVERITY_INFO,
    Severity.LOW: anomaly_pb2.SEVERITY_LOW,
    Severity.MEDIUM: anomaly_pb2.SEVERITY_MEDIUM,
    Severity.HIGH: anomaly_pb2.SEVERITY_HIGH,
    Severity.CRITICAL: anomaly_pb2.SEVERITY_CRITICAL,
}
_BY_NUMBER = {number: severity for severity, number in _SEVERITIES.items()}
_PAGE, _MAX_PAGE = 50, 500


class AnomalyServicer(anomaly_pb2_grpc.AnomalyServiceServicer):
    """The credential rides in the metadata."""

    def __init__(self, findings: FindingReader, authenticator: Authenticator) -> None:
        self._findings = findings
        self._authenticator = authenticator

    async def ListActive(  # noqa: N802 - the name is the protocol's
        self, request: anomaly_pb2.ListActiveRequest, context: grpc.aio.ServicerContext
    ) -> anomaly_pb2.ListActiveResponse:
        """Newest first."""
        tenant_id = self._tenant(context, request.tenant_id)
        size = request.page_size or _PAGE
        if not 1 <= size <= _MAX_PAGE:
            raise InvalidRequest(errors=[FieldError("/page_size", f"1 to {_MAX_PAGE}", str(request.page_size))])
        after = decode_time_and_id(request.page_token) if request.page_token else None
        page = await self._findings.page(
            tenant_id,
            states=("open",),
            severities=[_BY_NUMBER[number] for number in request.severities if number in _BY_NUMBER] or tuple(Severity),
            rules=(),
            after=after,
            limit=size + 1,
        )
        shown = page[:size]
        token = encode_cursor([shown[-1].opened_at, str(shown[-1].finding_id)]) if len(page) > size else ""
        return anomaly_pb2.ListActiveResponse(findings=[_message(finding) for finding in shown], next_page_token=token)

    async def GetFinding(  # noqa: N802 - the name is the protocol's
        self, request: anomaly_pb2.GetFindingRequest, context: grpc.aio.ServicerContext
    ) -> anomaly_pb2.GetFindingResponse:
        """With its document."""
        tenant_id = self._tenant(context, request.tenant_id)
        try:
            wanted = UUID(request.finding_id)
        except ValueError as error:
            raise InvalidRequest(errors=[FieldError("/finding_id", "a UUID", request.finding_id[:80])]) from error
        finding = await self._findings.get(tenant_id, wanted)
        if finding is None:
            raise NotFound(f"There is no finding {wanted}.")
        return anomaly_pb2.GetFindingResponse(finding=_message(finding))

    def _tenant(self, context: grpc.aio.ServicerContext, tenant_id: str) -> TenantId:
        caller = caller_of(context, self._authenticator, Action.ANOMALIES_READ)
        if not tenant_id:
            raise InvalidRequest(errors=[FieldError("/tenant_id", "a tenant's id", "nothing")])
        if not caller.may_enter(TenantId(tenant_id)):
            raise Forbidden("The credential belongs to another tenant.")
        return TenantId(tenant_id)


class AnomalySubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """Findings in which one of the subject's identifiers appears."""

    def __init__(self, findings: FindingReader) -> None:
        self._findings = findings

    async def ExportSubject(  # noqa: N802 - the name is the protocol's
        self, request: subject_data_pb2.ExportSubjectRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Oldest first, then one summary. Other people's identifiers in a shared finding are left out (Art. 15(4))."""
        # By the ids on the log; the merchant's own are those of findings from before events were protected.
        own = {*request.subject.subject_ids, *request.subject.user_ids, *request.subject.anonymous_ids}
        found = await self._findings.of_subjects(TenantId(request.tenant_id), sorted(own))
        for finding in found:
            document = finding_document(finding)
            document["subjects"] = [subject for subject in document["subjects"] if subject in own]
            if not any(str(finding.entity).endswith(f":{subject}") for subject in own):
                document["entity"] = str(finding.entity).partition(":")[0]
            yield subject_data_pb2.ExportSubjectResponse(
                record=subject_data_pb2.SubjectRecord(
                    category="anomaly.finding", record_id=str(finding.finding_id), json=msgspec.json.encode(document)
                )
            )
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=len(found),
                explanation="" if found else "No finding concerns this subject.",
                processing=[
                    subject_data_pb2.ProcessingInfo(
                        category="anomaly.finding",
                        purpose="Security of the shop and prevention of fraud",
                        legal_basis="legitimate interest (recitals 47 and 49 GDPR)",
                        retention="as the tenant's retention of fraud evidence",
                    )
                ],
            )
        )


def _message(finding: Finding) -> anomaly_pb2.Finding:
    return anomaly_pb2.Finding(
        tenant_id=finding.tenant_id,
        finding_id=str(finding.finding_id),
        rule=finding.rule,
        rule_version=finding.rule_version,
        entity=finding.entity,
        severity=_SEVERITIES[finding.severity],
        open=finding.state == "open",
        observed=finding.observed,
        expected=finding.expected,
        unit=finding.unit,
        score=finding.score,
        threshold=finding.threshold,
        cleared_by=finding.cleared_by,
        first_event_at=_timestamp(finding.first_event_at),
        opened_at=_timestamp(finding.opened_at),
        document_json=msgspec.json.encode(finding_document(finding)).decode(),
    )


def _timestamp(at: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromtimestamp(at, UTC))
    return stamp
