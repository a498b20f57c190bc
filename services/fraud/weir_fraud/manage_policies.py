"""Write, submit, approve, reject and bring back a tenant's policies: what one person writes another one approves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec
from weir_common.audit import AuditEntry
from weir_common.auth import Action, Principal
from weir_common.ids import TenantId
from weir_common.problems import Conflict, FieldError, Forbidden, InvalidRequest, NotFound

from weir_fraud.domain.policy import Draft, Entry, Policy, PolicyVersion, VersionState
from weir_fraud.ports import Audited, AuditLog, Conditions, PolicyStore
from weir_fraud.protect_lists import ProtectLists
from weir_fraud.read_policy import holds_personal_data, read_policy

SERVICE: Final = "fraud"
OBJECT: Final = "fraud-policy"


class ManagePolicies:
    """The use cases. Each change is audited in its own transaction, each refused approval before it is refused."""

    def __init__(
        self,
        store: PolicyStore,
        conditions: Conditions,
        protect: ProtectLists,
        audit: AuditLog,
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._conditions = conditions
        self._protect = protect
        self._audit = audit
        self._clock = clock

    async def save_draft(self, tenant_id: TenantId, caller: Principal, body: bytes) -> Draft:
        """`InvalidRequest` with all that is wrong with the document."""
        policy = await self.protected(tenant_id, body)
        now = self._clock()
        return await self._store.save_draft(
            tenant_id,
            policy,
            caller.subject,
            now,
            self._audited(tenant_id, caller, Action.FRAUD_POLICY_DRAFT, "draft", "revision"),
        )

    async def protected(
        self, tenant_id: TenantId, body: bytes | msgspec.Raw, *, prefix: str = "", make: bool = True
    ) -> Policy:
        """A document as people write it, validated and protected. Without ``make`` nobody becomes known by it."""
        # Compiling fifty rules takes up to 50 ms: not on the loop on which shoppers wait.
        written = await asyncio.to_thread(read_policy, body, self._conditions, prefix=prefix)
        known: list[Entry] = []
        if any(entry.protected is not None for entry in (*written.allow, *written.deny)):
            draft, active = await self._store.draft(tenant_id), await self._store.active(tenant_id)
            for policy in (None if active is None else active.policy, None if draft is None else draft.policy):
                known += [] if policy is None else [*policy.allow, *policy.deny]
        return await self._protect(tenant_id, written, known, now=self._clock(), make=make, prefix=prefix)

    async def submit(self, tenant_id: TenantId, caller: Principal, revision: int, note: str) -> PolicyVersion:
        """Propose the draft as it was at `revision`. `Conflict` if it was changed since, or another proposal waits."""
        _look_at_note(note)
        return await self._store.propose_draft(
            tenant_id,
            revision,
            caller.subject,
            note,
            self._clock(),
            self._audited(tenant_id, caller, Action.FRAUD_POLICY_DRAFT, "submit"),
        )

    async def roll_back(self, tenant_id: TenantId, caller: Principal, version: int, note: str) -> PolicyVersion:
        """Propose a version that was in force before; it needs approval as any other."""
        _look_at_note(note)
        earlier = await self._version(tenant_id, version)
        if earlier.state is not VersionState.SUPERSEDED:
            raise Conflict(
                f"Version {version} is {earlier.state.value}: only one that was in force and is no more can be brought back."
            )
        return await self._store.propose(
            tenant_id,
            earlier.policy,
            version,
            caller.subject,
            note,
            self._clock(),
            self._audited(tenant_id, caller, Action.FRAUD_POLICY_DRAFT, "rollback", restores=str(version)),
        )

    async def approve(self, tenant_id: TenantId, caller: Principal, version: int, note: str) -> PolicyVersion:
        """Put a proposal in force. `Forbidden` for a machine and for whoever made it."""
        _look_at_note(note)
        proposal = await self._version(tenant_id, version)
        # A token that was exchanged for a key is still that of a machine.
        if caller.kind != "person" or caller.subject.startswith("key:"):
            await self._denied(tenant_id, caller, version, "machine")
            raise Forbidden(
                "A policy is approved by a person, with a token of their own; an API key cannot.",
                slug="approver-is-machine",
            )
        if caller.subject in proposal.makers:
            await self._denied(tenant_id, caller, version, "maker")
            raise Forbidden(
                f"You wrote or submitted version {version}; another person must approve it. The attempt was recorded.",
                slug="approver-is-maker",
            )
        return await self._decide(tenant_id, caller, version, True, note)

    async def reject(self, tenant_id: TenantId, caller: Principal, version: int, note: str) -> PolicyVersion:
        """Take a proposal off the table; its makers may, too."""
        _look_at_note(note)
        await self._version(tenant_id, version)
        return await self._decide(tenant_id, caller, version, False, note)

    async def _decide(
        self, tenant_id: TenantId, caller: Principal, version: int, approved: bool, note: str
    ) -> PolicyVersion:
        return await self._store.decide(
            tenant_id,
            version,
            approved,
            caller.subject,
            note,
            self._clock(),
            self._audited(tenant_id, caller, Action.FRAUD_POLICY_APPROVE, "approve" if approved else "reject"),
        )

    async def _version(self, tenant_id: TenantId, version: int) -> PolicyVersion:
        found = await self._store.version(tenant_id, version)
        if found is None:
            raise NotFound(f"There is no version {version} of the policy.")
        return found

    def _audited(
        self, tenant_id: TenantId, caller: Principal, action: Action, what: str, counts: str = "version", **detail: str
    ) -> Audited:
        """The entry, once the store knows the number of what it wrote."""

        def entry(number: int) -> AuditEntry:
            return AuditEntry(
                tenant_id=tenant_id,
                actor=caller.subject,
                actor_kind=caller.kind,
                action=str(action),
                object_ref=OBJECT,
                outcome="success",
                detail={"what": what, counts: str(number), **detail},
                service=SERVICE,
            )

        return entry

    async def _denied(self, tenant_id: TenantId, caller: Principal, version: int, reason: str) -> None:
        await self._audit.record(
            AuditEntry(
                tenant_id=tenant_id,
                actor=caller.subject,
                actor_kind=caller.kind,
                action=str(Action.FRAUD_POLICY_APPROVE),
                object_ref=OBJECT,
                outcome="denied",
                detail={"what": "approve", "version": str(version), "reason": reason},
                service=SERVICE,
            )
        )


def _look_at_note(note: str) -> None:
    if holds_personal_data(note):
        raise InvalidRequest(
            "The note is kept for ever.",
            errors=[FieldError("/note", "no e-mail address, telephone number, card or IP address", "one")],
        )
