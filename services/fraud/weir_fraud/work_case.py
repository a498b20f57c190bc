"""What analysts do with a case: assign, note, resolve. Each change, its line in the history and its audit entry commit together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from weir_common.audit import AuditEntry
from weir_common.auth import Action, Principal
from weir_common.ids import EventId, TenantId
from weir_common.privacy.errors import KeyDestroyed
from weir_common.problems import Conflict, NotFound, PreconditionFailed

from weir_fraud.case_metrics import CaseMetrics
from weir_fraud.domain.label import Label, LabelSource
from weir_fraud.domain.review_case import (
    ActionKind,
    CaseAction,
    Resolution,
    ReviewCase,
    SealedNote,
    assigned,
    noted,
    resolved,
)
from weir_fraud.ports import CaseStore, DecisionStore, Notes, Work
from weir_fraud.record_labels import SERVICE, LabelStatus, RecordLabels


@dataclass(frozen=True, slots=True)
class Seen:
    """The version that the caller has seen, or that any will do; a caller who says nothing takes nothing from anybody."""

    version: int | None = None
    any: bool = False

    @property
    def is_said(self) -> bool:
        """Whether the caller names what he changes."""
        return self.any or self.version is not None


class WorkCase:
    """The use cases; each gives the case as it is then.

    `NotFound` without such a case, `PreconditionFailed` if it is another version than the one seen, `Conflict` for what cannot be
    done with it as it stands.
    """

    def __init__(
        self,
        store: CaseStore,
        decisions: DecisionStore,
        notes: Notes,
        record_labels: RecordLabels,
        metrics: CaseMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._decisions = decisions
        self._notes = notes
        self._record_labels = record_labels
        self._metrics = metrics
        self._clock = clock

    async def assign(
        self, tenant_id: TenantId, event_id: EventId, assignee: str | None, caller: Principal, seen: Seen
    ) -> ReviewCase:
        """To `assignee`, or to nobody. What another holds is taken only by who says which version he has seen."""

        def change(case: ReviewCase) -> tuple[ReviewCase, CaseAction]:
            after = assigned(case, assignee, by=caller.subject, taking_over=seen.is_said)
            kind = ActionKind.UNASSIGNED if assignee is None else ActionKind.ASSIGNED
            return after, self._action(after, kind, caller, assignee=assignee)

        return await self._change(tenant_id, event_id, caller, seen, change)

    async def note(
        self, tenant_id: TenantId, event_id: EventId, text: str, caller: Principal, seen: Seen
    ) -> ReviewCase:
        """Write a note. `Conflict` when the person whom the payment is about was erased: there is no key to seal it by."""
        note = await self._sealed(tenant_id, event_id, text)

        def change(case: ReviewCase) -> tuple[ReviewCase, CaseAction]:
            after = noted(case)
            return after, self._action(after, ActionKind.NOTED, caller, note=note)

        return await self._change(tenant_id, event_id, caller, seen, change)

    async def resolve(
        self,
        tenant_id: TenantId,
        event_id: EventId,
        resolution: Resolution,
        note_text: str | None,
        caller: Principal,
        seen: Seen,
    ) -> ReviewCase:
        """End it; what it was becomes a label of the payment in the same transaction."""
        note = None if note_text is None else await self._sealed(tenant_id, event_id, note_text)
        now = self._clock()
        label = Label(
            tenant_id=tenant_id,
            event_id=event_id,
            kind=resolution.label,
            occurred_at=now,
            recorded_at=now,
            recorded_by=caller.subject,
            source=LabelSource.CASE,
        )

        def change(case: ReviewCase) -> tuple[ReviewCase, CaseAction]:
            after = resolved(case, resolution, by=caller.subject, at=now, taking_over=seen.is_said)
            return after, self._action(after, ActionKind.RESOLVED, caller, resolution=resolution, note=note)

        async def also(work: Work) -> None:
            statuses.extend(await self._record_labels.within(work, [label]))

        statuses: list[LabelStatus] = []
        case = await self._change(tenant_id, event_id, caller, seen, change, also)
        self._record_labels.count([label], statuses)
        return case

    async def _change(
        self,
        tenant_id: TenantId,
        event_id: EventId,
        caller: Principal,
        seen: Seen,
        change: Callable[[ReviewCase], tuple[ReviewCase, CaseAction]],
        also: Callable[[Work], Awaitable[None]] | None = None,
    ) -> ReviewCase:
        async with self._store.work(tenant_id) as work:
            before = await work.case(event_id)
            if before is None:
                raise no_case(event_id)
            if seen.version is not None and seen.version != before.version:
                raise PreconditionFailed(
                    f"The case is at version {before.version} by now: read it again.", extra={"version": before.version}
                )
            after, action = change(before)
            if after.version == before.version:
                return before
            await work.save(after, action)
            if also is not None:
                await also(work)
            await work.audit(self._entry(after, action, caller))
        self._metrics.acted(action.kind, after)
        return after

    async def _sealed(self, tenant_id: TenantId, event_id: EventId, text: str) -> SealedNote:
        decision = await self._decisions.find(tenant_id, event_id)
        if decision is None:
            raise no_case(event_id)
        try:
            return await self._notes.close(tenant_id, event_id, decision.subject, text)
        except KeyDestroyed as error:
            raise Conflict(
                "The person whom the payment is about was erased: nothing is written about them any more.",
                slug="erased",
            ) from error

    def _action(
        self,
        after: ReviewCase,
        kind: ActionKind,
        caller: Principal,
        *,
        assignee: str | None = None,
        resolution: Resolution | None = None,
        note: SealedNote | None = None,
    ) -> CaseAction:
        return CaseAction(
            version=after.version,
            kind=kind,
            actor=caller.subject,
            actor_kind=caller.kind,
            at=self._clock(),
            assignee=assignee,
            resolution=resolution,
            note=note,
        )

    def _entry(self, case: ReviewCase, action: CaseAction, caller: Principal) -> AuditEntry:
        # Who it was assigned to the history says; here it would be a name in a log that is kept for years.
        detail = {"change": action.kind.value, "version": str(case.version)}
        if action.resolution is not None:
            detail["resolution"] = action.resolution.value
        return AuditEntry(
            tenant_id=case.tenant_id,
            actor=caller.subject,
            actor_kind=caller.kind,
            action=str(Action.FRAUD_CASES_WORK),
            object_ref=f"case/{case.event_id}",
            outcome="success",
            service=SERVICE,
            detail=detail,
        )


def no_case(event_id: EventId) -> NotFound:
    """The same whether it is not there or another tenant's."""
    return NotFound(f"There is no case of event {event_id}.")
