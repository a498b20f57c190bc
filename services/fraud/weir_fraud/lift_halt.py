"""Let a tenant's declines be declines again: only a person does, who has seen which halt it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from weir_common.audit import AuditEntry
from weir_common.auth import Action, Principal
from weir_common.ids import TenantId
from weir_common.problems import FieldError, Forbidden, InvalidRequest

from weir_fraud.domain.decline_corridor import Halt
from weir_fraud.ports import DeclineStore
from weir_fraud.read_policy import holds_personal_data
from weir_fraud.watch_declines import SERVICE


class LiftHalt:
    """The use case. Its audit entry commits with it."""

    def __init__(self, store: DeclineStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def __call__(self, caller: Principal, tenant_id: TenantId, halted_at: datetime, note: str) -> Halt:
        """The halt as it is then; the tenant's share is counted anew. `Conflict` unless that halt is in force.

        `Forbidden` for a tenant's API key: a program that lifts every halt would be no limit at all. Operators of the platform have keys.
        """
        if caller.tenant_id is not None and (caller.kind != "person" or caller.subject.startswith("key:")):
            raise Forbidden(
                "A halt is lifted by a person, with a token of their own; an API key cannot.", slug="lifter-is-machine"
            )
        if holds_personal_data(note):
            raise InvalidRequest(
                "The note is kept for ever.",
                errors=[FieldError("/note", "no e-mail address, telephone number, card or IP address", "one")],
            )
        entry = AuditEntry(
            tenant_id=tenant_id,
            actor=caller.subject,
            actor_kind=caller.kind,
            action=str(Action.FRAUD_DECLINES_LIFT),
            object_ref="fraud-declines",
            outcome="success",
            detail={"what": "lift", "halted_at": halted_at.isoformat()},
            service=SERVICE,
        )
        return await self._store.lift(tenant_id, halted_at, caller.subject, note, self._clock(), entry)
