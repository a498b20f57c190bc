"""What a requester gets of a finished export: the archive, and once the key that opens it."""

from uuid import UUID

from weir_common.audit import AuditEntry, AuditTrail, Outcome
from weir_common.auth import Principal, Role
from weir_common.ids import TenantId
from weir_common.problems import Conflict, Forbidden, NotFound, Problem

from weir_compliance.domain.request_state import RequestState
from weir_compliance.domain.subject_request import Archive, KeyState, SubjectRequest
from weir_compliance.ports import Clock, SubjectRequests

# Whoever may take a key that somebody else's request made.
_KEY_HOLDERS = frozenset({Role.OWNER, Role.PRIVACY_OFFICER})


class FetchExport:
    """Each success is in the audit log before it is reported."""

    def __init__(self, requests: SubjectRequests, audit: AuditTrail, clock: Clock) -> None:
        self._requests = requests
        self._audit = audit
        self._clock = clock

    async def request(self, tenant_id: TenantId, request_id: UUID) -> SubjectRequest:
        """NotFound unless the tenant has it."""
        found = await self._requests.find(tenant_id, request_id)
        if found is None:
            raise NotFound("There is no subject request of this id.")
        return found

    async def archive(self, caller: Principal, tenant_id: TenantId, request_id: UUID) -> Archive:
        """Conflict while it is being made, 410 once its link has expired."""
        request = await self.request(tenant_id, request_id)
        archive = self._available(request)
        await self._audit.record(_entry(caller, request, "subject_request.download", "success"))
        return archive

    async def manifest(self, tenant_id: TenantId, request_id: UUID) -> bytes:
        """As `archive`; the manifest holds nothing of the person and outlives the archive."""
        request = await self.request(tenant_id, request_id)
        if request.archive is None:
            raise _unfinished(request)
        return request.archive.manifest

    async def key(self, caller: Principal, tenant_id: TenantId, request_id: UUID) -> str:
        """The age identity that opens the archive: to who asked for the export (or may act for them), once."""
        request = await self.request(tenant_id, request_id)
        if caller.subject != request.requested_by and not caller.roles & _KEY_HOLDERS:
            await self._audit.record(_entry(caller, request, "subject_request.hand_out_key", "denied"))
            raise Forbidden("The key goes to who asked for the export, a privacy officer or the owner of the tenant.")
        self._available(request)
        if request.key_state is KeyState.RECIPIENT:
            raise Conflict(
                "The archive is encrypted to the public key that came with the request; its owner has the secret.",
                slug="key-is-the-recipients",
            )
        identity = await self._requests.hand_out_key(
            tenant_id, request_id, self._clock(), _entry(caller, request, "subject_request.hand_out_key", "success")
        )
        if identity is None:
            raise Conflict(
                "The key was handed out already and is not kept; whoever lost it asks for a new export.",
                slug="key-handed-out",
            )
        return identity

    def _available(self, request: SubjectRequest) -> Archive:
        if request.archive is None:
            raise _unfinished(request)
        if request.state is RequestState.EXPIRED or request.archive.link_expires_at <= self._clock():
            raise Problem(
                "The archive was deleted when its link expired; a new request makes a new one.",
                status=410,
                slug="export-expired",
                title="The export has expired",
            )
        return request.archive


def _unfinished(request: SubjectRequest) -> Conflict:
    waiting = ", ".join(request.missing_stores) or "the archive to be packed"
    return Conflict(
        f"The export is not finished; it waits for: {waiting}.",
        slug="export-not-finished",
        headers={"Retry-After": "5"},
    )


def _entry(caller: Principal, request: SubjectRequest, action: str, outcome: Outcome) -> AuditEntry:
    return AuditEntry(
        tenant_id=request.tenant_id,
        actor=caller.subject,
        actor_kind=caller.kind,
        action=action,
        object_ref=f"subject_request/{request.request_id}",
        outcome=outcome,
        service="compliance",
    )
