"""Policies in memory, for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.problems import Conflict

from weir_fraud.domain.policy import NO_POLICY, NOTHING, Draft, EntityKind, Entry, Policy, PolicyVersion, VersionState
from weir_fraud.ports import Audited


class MemoryPolicies:
    """See `PolicyStore`. `audited` is what the outbox would hold."""

    def __init__(self) -> None:
        self._drafts: dict[TenantId, Draft] = {}
        self._revisions: dict[TenantId, int] = {}
        self._versions: dict[TenantId, dict[int, PolicyVersion]] = {}
        self.audited: list[AuditEntry] = []

    async def draft(self, tenant_id: TenantId) -> Draft | None:
        return self._drafts.get(tenant_id)

    async def save_draft(self, tenant_id: TenantId, policy: Policy, editor: str, at: datetime, audit: Audited) -> Draft:
        before = self._drafts.get(tenant_id)
        editors = () if before is None else before.editors
        self._revisions[tenant_id] = self._revisions.get(tenant_id, 0) + 1
        saved = Draft(
            policy=policy,
            revision=self._revisions[tenant_id],
            editors=editors if editor in editors else (*editors, editor),
            edited_at=at,
        )
        self._drafts[tenant_id] = saved
        self.audited.append(audit(saved.revision))
        return saved

    async def propose_draft(
        self, tenant_id: TenantId, revision: int, maker: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        draft = self._drafts.get(tenant_id)
        if draft is None or draft.revision != revision:
            raise Conflict(f"The draft is not that of revision {revision} (any more).")
        makers = draft.editors if maker in draft.editors else (*draft.editors, maker)
        made = self._add(tenant_id, draft.policy, None, makers, note, at, audit)
        del self._drafts[tenant_id]
        return made

    async def propose(
        self, tenant_id: TenantId, policy: Policy, restores: int, maker: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        return self._add(tenant_id, policy, restores, (maker,), note, at, audit)

    async def decide(
        self, tenant_id: TenantId, version: int, approved: bool, by: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        versions = self._versions.get(tenant_id, {})
        proposal = versions.get(version)
        if proposal is None or proposal.state is not VersionState.PROPOSED:
            raise Conflict(f"Version {version} is not proposed (any more).")
        if approved:
            for number, one in versions.items():
                if one.state is VersionState.ACTIVE:
                    versions[number] = msgspec.structs.replace(one, state=VersionState.SUPERSEDED)
        versions[version] = msgspec.structs.replace(
            proposal,
            state=VersionState.ACTIVE if approved else VersionState.REJECTED,
            decided_by=by,
            decided_at=at,
            decision_note=note,
        )
        self.audited.append(audit(version))
        return versions[version]

    async def version(self, tenant_id: TenantId, version: int) -> PolicyVersion | None:
        return self._versions.get(tenant_id, {}).get(version)

    async def active(self, tenant_id: TenantId) -> PolicyVersion | None:
        versions = self._versions.get(tenant_id, {}).values()
        return next((one for one in versions if one.state is VersionState.ACTIVE), None)

    async def versions(self, tenant_id: TenantId, before: int | None, limit: int) -> list[PolicyVersion]:
        found = sorted(self._versions.get(tenant_id, {}).values(), key=lambda one: -one.version)
        return [
            msgspec.structs.replace(one, policy=NOTHING) for one in found if before is None or one.version < before
        ][:limit]

    async def active_versions(self, known: Mapping[TenantId, int]) -> Mapping[TenantId, tuple[int, Policy | None]]:
        answer: dict[TenantId, tuple[int, Policy | None]] = {}
        for tenant_id, version in known.items():
            active = await self.active(tenant_id)
            if active is None:
                answer[tenant_id] = (NO_POLICY, None)
            else:
                answer[tenant_id] = (active.version, None if active.version == version else active.policy)
        return answer

    async def entries_of_subject(
        self, tenant_id: TenantId, subjects: Sequence[str]
    ) -> list[tuple[int, VersionState | None, str, Entry]]:
        documents: list[tuple[int, VersionState | None, Policy]] = []
        if (draft := self._drafts.get(tenant_id)) is not None:
            documents.append((0, None, draft.policy))
        documents += [(one.version, one.state, one.policy) for one in self._versions.get(tenant_id, {}).values()]
        return [
            (version, state, name, entry)
            for version, state, policy in documents
            for name, entries in (("allow", policy.allow), ("deny", policy.deny))
            for entry in entries
            if entry.kind in (EntityKind.USER, EntityKind.VISITOR) and set(entry.protected) & set(subjects)
        ]

    def _add(
        self,
        tenant_id: TenantId,
        policy: Policy,
        restores: int | None,
        makers: tuple[str, ...],
        note: str,
        at: datetime,
        audit: Audited,
    ) -> PolicyVersion:
        versions = self._versions.setdefault(tenant_id, {})
        if any(one.state is VersionState.PROPOSED for one in versions.values()):
            raise Conflict("Another proposal waits: approve or reject it first.")
        made = PolicyVersion(
            version=len(versions) + 1,
            state=VersionState.PROPOSED,
            makers=makers,
            note=note,
            submitted_at=at,
            restores=restores,
            policy=policy,
        )
        versions[made.version] = made
        self.audited.append(audit(made.version))
        return made
