"""Policies in PostgreSQL; each change and its audit entry, by the outbox, in one transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import asyncpg
import msgspec
from weir_common.audit import audit_record
from weir_common.ids import TenantId
from weir_common.outbox import add_to_outbox
from weir_common.postgres import Connection, tenant_transaction
from weir_common.problems import Conflict

from weir_fraud.adapters.postgres_decisions import SCHEMA
from weir_fraud.adapters.postgres_faults import AWAY
from weir_fraud.domain.policy import NO_POLICY, NOTHING, Draft, Entry, Policy, PolicyVersion, VersionState
from weir_fraud.errors import PolicyStoreUnavailable
from weir_fraud.ports import Audited

_FACTS: Final = "version, state, makers, note, submitted_at, restores, decided_by, decided_at, decision_note"
_policy = msgspec.json.Decoder(Policy)
_entry = msgspec.json.Decoder(Entry)


class PostgresPolicies:
    """See `PolicyStore`."""

    def __init__(self, pool: asyncpg.Pool, wake_outbox: Callable[[], None]) -> None:
        self._pool = pool
        self._wake_outbox = wake_outbox

    async def draft(self, tenant_id: TenantId) -> Draft | None:
        async with self._reading(tenant_id) as connection:
            row = await connection.fetchrow(
                "SELECT document::text AS document, revision, editors, edited_at FROM fraud.policy_draft "
                "WHERE tenant_id = $1 AND document IS NOT NULL",
                tenant_id,
            )
        return None if row is None else _draft(row)

    async def save_draft(self, tenant_id: TenantId, policy: Policy, editor: str, at: datetime, audit: Audited) -> Draft:
        async with self._changing(tenant_id) as connection:
            (row,) = await connection.fetch(
                "INSERT INTO fraud.policy_draft AS d (tenant_id, document, revision, editors, edited_at) "
                "VALUES ($1, $2::text::jsonb, 1, ARRAY[$3::text], $4) ON CONFLICT (tenant_id) DO UPDATE SET "
                "document = excluded.document, revision = d.revision + 1, edited_at = excluded.edited_at, "
                "editors = CASE WHEN $3 = ANY (d.editors) THEN d.editors ELSE d.editors || $3::text END "
                "RETURNING document::text AS document, revision, editors, edited_at",
                tenant_id,
                _text(policy),
                editor,
                at,
            )
            await add_to_outbox(connection, SCHEMA, [audit_record(audit(row["revision"]))])
        return _draft(row)

    async def propose_draft(
        self, tenant_id: TenantId, revision: int, maker: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        async with self._changing(tenant_id) as connection:
            row = await connection.fetchrow(
                "SELECT document::text AS document, editors FROM fraud.policy_draft "
                "WHERE tenant_id = $1 AND revision = $2 AND document IS NOT NULL FOR UPDATE",
                tenant_id,
                revision,
            )
            if row is None:
                raise Conflict(f"The draft is not that of revision {revision} (any more).")
            await connection.execute(
                "UPDATE fraud.policy_draft SET document = NULL, editors = '{}' WHERE tenant_id = $1", tenant_id
            )
            makers = row["editors"] if maker in row["editors"] else [*row["editors"], maker]
            return await self._add(connection, tenant_id, row["document"], None, makers, note, at, audit)

    async def propose(
        self, tenant_id: TenantId, policy: Policy, restores: int, maker: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        async with self._changing(tenant_id) as connection:
            return await self._add(connection, tenant_id, _text(policy), restores, [maker], note, at, audit)

    async def decide(
        self, tenant_id: TenantId, version: int, approved: bool, by: str, note: str, at: datetime, audit: Audited
    ) -> PolicyVersion:
        async with self._changing(tenant_id) as connection:
            waits = await connection.fetchval(
                "SELECT true FROM fraud.policy_version WHERE tenant_id = $1 AND version = $2 AND state = 'proposed' FOR UPDATE",
                tenant_id,
                version,
            )
            if not waits:
                raise Conflict(f"Version {version} is not proposed (any more).")
            if approved:
                await connection.execute(
                    "UPDATE fraud.policy_version SET state = 'superseded' WHERE tenant_id = $1 AND state = 'active'",
                    tenant_id,
                )
            (row,) = await connection.fetch(
                "UPDATE fraud.policy_version SET state = $3, decided_by = $4, decided_at = $5, decision_note = $6 "  # noqa: S608 - constants
                f"WHERE tenant_id = $1 AND version = $2 RETURNING {_FACTS}, document::text AS document",
                tenant_id,
                version,
                (VersionState.ACTIVE if approved else VersionState.REJECTED).value,
                by,
                at,
                note,
            )
            await add_to_outbox(connection, SCHEMA, [audit_record(audit(version))])
        return _version(row, _policy.decode(row["document"]))

    async def version(self, tenant_id: TenantId, version: int) -> PolicyVersion | None:
        return await self._one(tenant_id, "version = $2", version)

    async def active(self, tenant_id: TenantId) -> PolicyVersion | None:
        return await self._one(tenant_id, "state = $2", VersionState.ACTIVE.value)

    async def versions(self, tenant_id: TenantId, before: int | None, limit: int) -> list[PolicyVersion]:
        async with self._reading(tenant_id) as connection:
            rows = await connection.fetch(
                f"SELECT {_FACTS} FROM fraud.policy_version WHERE tenant_id = $1 AND ($2::integer IS NULL OR version < $2) "  # noqa: S608 - constants
                "ORDER BY version DESC LIMIT $3",
                tenant_id,
                before,
                limit,
            )
        return [_version(row, NOTHING) for row in rows]

    async def active_versions(self, known: Mapping[TenantId, int]) -> Mapping[TenantId, tuple[int, Policy | None]]:
        try:
            async with self._pool.acquire(timeout=5) as connection:
                rows = await connection.fetch(
                    "SELECT tenant_id, version, document FROM fraud.active_policies($1, $2)",
                    list(known),
                    list(known.values()),
                )
        except AWAY as error:
            raise PolicyStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        answer: dict[TenantId, tuple[int, Policy | None]] = dict.fromkeys(known, (NO_POLICY, None))
        for row in rows:
            document = row["document"]
            answer[TenantId(row["tenant_id"])] = (
                row["version"],
                None if document is None else _policy.decode(document),
            )
        return answer

    async def entries_of_subject(
        self, tenant_id: TenantId, subjects: Sequence[str]
    ) -> list[tuple[int, VersionState | None, str, Entry]]:
        async with self._reading(tenant_id) as connection:
            rows = await connection.fetch(
                "WITH documents AS ("
                "SELECT 0 AS version, NULL AS state, document FROM fraud.policy_draft WHERE tenant_id = $1 "
                "UNION ALL SELECT version, state, document FROM fraud.policy_version WHERE tenant_id = $1) "
                "SELECT version, state, list, entry::text AS entry FROM documents CROSS JOIN (VALUES ('allow'), ('deny')) AS lists (list) "
                "CROSS JOIN LATERAL jsonb_array_elements(document -> list) AS entries (entry) "
                "WHERE entry ->> 'kind' IN ('user', 'visitor') AND entry -> 'protected' ?| $2::text[] ORDER BY version, list",
                tenant_id,
                list(subjects),
            )
        return [
            (
                row["version"],
                None if row["state"] is None else VersionState(row["state"]),
                row["list"],
                _entry.decode(row["entry"]),
            )
            for row in rows
        ]

    async def _one(self, tenant_id: TenantId, which: str, value: object) -> PolicyVersion | None:
        async with self._reading(tenant_id) as connection:
            row = await connection.fetchrow(
                f"SELECT {_FACTS}, document::text AS document FROM fraud.policy_version WHERE tenant_id = $1 AND {which}",  # noqa: S608 - constants
                tenant_id,
                value,
            )
        return None if row is None else _version(row, _policy.decode(row["document"]))

    async def _add(
        self,
        connection: Connection,
        tenant_id: TenantId,
        document: str,
        restores: int | None,
        makers: Sequence[str],
        note: str,
        at: datetime,
        audit: Audited,
    ) -> PolicyVersion:
        # Two at once: one of them finds the number or the place of the proposal taken.
        try:
            async with connection.transaction():
                (row,) = await connection.fetch(
                    "INSERT INTO fraud.policy_version (tenant_id, version, document, state, makers, note, submitted_at, restores) "  # noqa: S608 - constants
                    "SELECT $1, coalesce(max(version), 0) + 1, $2::text::jsonb, 'proposed', $3, $4, $5, $6 "
                    f"FROM fraud.policy_version WHERE tenant_id = $1 RETURNING {_FACTS}",
                    tenant_id,
                    document,
                    list(makers),
                    note,
                    at,
                    restores,
                )
        except asyncpg.UniqueViolationError as error:
            raise Conflict("Another proposal waits: approve or reject it first.") from error
        await add_to_outbox(connection, SCHEMA, [audit_record(audit(row["version"]))])
        return _version(row, _policy.decode(document))

    @asynccontextmanager
    async def _reading(self, tenant_id: TenantId) -> AsyncIterator[Connection]:
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                yield connection
        except AWAY as error:
            raise PolicyStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error

    @asynccontextmanager
    async def _changing(self, tenant_id: TenantId) -> AsyncIterator[Connection]:
        try:
            async with tenant_transaction(self._pool, tenant_id) as connection:
                yield connection
        except AWAY as error:
            raise PolicyStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        self._wake_outbox()


def _text(policy: Policy) -> str:
    return msgspec.json.encode(policy).decode()


def _draft(row: asyncpg.Record) -> Draft:
    return Draft(
        policy=_policy.decode(row["document"]),
        revision=row["revision"],
        editors=tuple(row["editors"]),
        edited_at=row["edited_at"],
    )


def _version(row: asyncpg.Record, policy: Policy) -> PolicyVersion:
    return PolicyVersion(
        version=row["version"],
        state=VersionState(row["state"]),
        makers=tuple(row["makers"]),
        note=row["note"],
        submitted_at=row["submitted_at"],
        restores=row["restores"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        decision_note=row["decision_note"],
        policy=policy,
    )
