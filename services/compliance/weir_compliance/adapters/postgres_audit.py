"""The audit log in PostgreSQL: one writer appends, anybody with the role reads."""

import os
from collections.abc import Sequence
from datetime import datetime

import asyncpg
from weir_common.ids import TenantId
from weir_common.postgres import Connection, tenant_transaction

from weir_compliance.adapters.export_key import ExportKeyRing
from weir_compliance.domain.audit_chain import Head, StoredEntry
from weir_compliance.domain.audit_leaf import GENESIS, SALT_BYTES, AuditFact, log_id_of, write_leaf
from weir_compliance.errors import KeyUnavailableError

_PURPOSE = "audit-payload"


class PostgresAuditAppender:
    """Appends in a transaction that somebody else commits, together with the offsets of what caused the entries."""

    def __init__(self, keys: ExportKeyRing) -> None:
        self._keys = keys

    async def append(
        self, connection: Connection, tenant_id: TenantId, facts: Sequence[AuditFact], at: datetime
    ) -> int:
        """`facts` of one tenant in order; those that the log holds already are left out. Gives the number appended.

        The connection must be set to the tenant. UnwritableEntryError names the first fact that has no leaf (and
        changes nothing).
        """
        log_id = log_id_of(tenant_id)
        head = await self._locked_head(connection, log_id, at)
        known = {
            str(row["entry_id"])
            for row in await connection.fetch(
                "SELECT entry_id FROM audit_entry WHERE tenant_id = $1 AND log_id = $2 AND entry_id = ANY($3::uuid[])",
                tenant_id,
                log_id,
                [fact.entry_id for fact in facts],
            )
        }
        entries, payloads = [], []
        seq, previous = head.size, head.hash
        for fact in facts:
            if fact.entry_id in known:
                continue
            known.add(fact.entry_id)
            salt = os.urandom(SALT_BYTES)
            leaf = write_leaf(fact, log_id=log_id, seq=seq, previous=previous, salt=salt)
            entries.append((tenant_id, log_id, seq, fact.entry_id, leaf.data, leaf.hash))
            sealed = self._keys.seal(_PURPOSE, tenant_id, fact.entry_id.encode(), fact.payload)
            payloads.append((tenant_id, fact.entry_id, salt, sealed))
            seq, previous = seq + 1, leaf.hash
        await connection.executemany(
            "INSERT INTO audit_entry (tenant_id, log_id, seq, entry_id, leaf, leaf_hash) VALUES ($1, $2, $3, $4, $5, $6)",
            entries,
        )
        await connection.executemany(
            "INSERT INTO audit_payload (tenant_id, entry_id, salt, sealed) VALUES ($1, $2, $3, $4)", payloads
        )
        await connection.execute(
            "UPDATE audit_head SET size = $2, hash = $3, appended_at = $4 WHERE log_id = $1", log_id, seq, previous, at
        )
        return len(entries)

    @staticmethod
    async def _locked_head(connection: Connection, log_id: str, at: datetime) -> Head:
        """The row lock orders two writers, should there ever be two."""
        await connection.execute(
            "INSERT INTO audit_head (log_id, size, hash, appended_at) VALUES ($1, 0, $2, $3) ON CONFLICT DO NOTHING",
            log_id,
            GENESIS,
            at,
        )
        row = await connection.fetchrow("SELECT size, hash FROM audit_head WHERE log_id = $1 FOR UPDATE", log_id)
        assert row is not None
        return Head(log_id, row["size"], row["hash"])


class PostgresAuditLog:
    """`AuditLog` on a pool of the application role."""

    def __init__(self, pool: asyncpg.Pool, keys: ExportKeyRing) -> None:
        self._pool = pool
        self._keys = keys

    async def entries(self, tenant_id: TenantId, after_seq: int, limit: int) -> Sequence[StoredEntry]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                """
                SELECT e.seq, e.entry_id, e.leaf, e.leaf_hash, p.salt, p.sealed
                FROM audit_entry e LEFT JOIN audit_payload p ON p.tenant_id = e.tenant_id AND p.entry_id = e.entry_id
                WHERE e.tenant_id = $1 AND e.log_id = $2 AND e.seq > $3
                ORDER BY e.seq LIMIT $4
                """,
                tenant_id,
                log_id_of(tenant_id),
                after_seq,
                limit,
            )
        return [self._entry(tenant_id, row) for row in rows]

    def _entry(self, tenant_id: TenantId, row: asyncpg.Record) -> StoredEntry:
        entry_id = str(row["entry_id"])
        payload, fault = None, ""
        if row["sealed"] is not None:
            try:
                payload = self._keys.open(_PURPOSE, tenant_id, entry_id.encode(), row["sealed"])
            except KeyUnavailableError as error:
                # For the verifier to report at its place; the rest of the log can still be read.
                fault = str(error)
        return StoredEntry(row["seq"], entry_id, row["leaf"], row["leaf_hash"], row["salt"], payload, fault)

    async def head(self, tenant_id: TenantId) -> Head:
        log_id = log_id_of(tenant_id)
        async with self._pool.acquire(timeout=5) as connection:
            row = await connection.fetchrow("SELECT size, hash FROM audit_head WHERE log_id = $1", log_id)
        return Head(log_id, 0, GENESIS) if row is None else Head(log_id, row["size"], row["hash"])

    async def logs(self) -> Sequence[TenantId]:
        prefix = log_id_of("")
        async with self._pool.acquire(timeout=5) as connection:
            rows = await connection.fetch("SELECT log_id FROM audit_head ORDER BY log_id")
        return [TenantId(row["log_id"].removeprefix(prefix)) for row in rows]
