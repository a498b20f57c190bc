"""The end of an export: the archive is deleted and its key destroyed."""

from uuid import UUID

from weir_common.audit import AuditEntry
from weir_common.ids import TenantId

from weir_compliance.domain.request_state import IllegalTransitionError
from weir_compliance.errors import RequestGoneError
from weir_compliance.ports import Archives, SubjectRequests


class ExpireExport:
    """Repeatable: the row first, so that no link is given out for a file that is about to go."""

    def __init__(self, requests: SubjectRequests, archives: Archives) -> None:
        self._requests = requests
        self._archives = archives

    async def __call__(self, tenant_id: TenantId, request_id: UUID) -> None:
        entry = AuditEntry(
            tenant_id=tenant_id,
            actor="compliance",
            actor_kind="service",
            action="subject_request.expire",
            object_ref=f"subject_request/{request_id}",
            outcome="success",
            service="compliance",
        )
        try:
            await self._requests.expire(tenant_id, request_id, entry)
        except IllegalTransitionError:
            raise RequestGoneError("request_not_fulfilled") from None
        self._archives.remove_all(request_id)
