"""Rule states and findings in PostgreSQL, under row level security."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from weir_common.errors import RetryError, StopError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.postgres import tenant_transaction

from weir_anomaly.adapters.state_cache import StateCache
from weir_anomaly.domain.clock import TenantClock
from weir_anomaly.domain.engine import CLOCK, Held, StateKey
from weir_anomaly.domain.entity import Entity
from weir_anomaly.domain.finding import Finding
from weir_anomaly.domain.rule import Rule, State, StateCodec
from weir_anomaly.domain.severity import Severity
from weir_anomaly.errors import StateConflict, StateUnreadable

SCHEMA = "anomaly"
_QUIET_AT_ONCE = 50

_finding_decoder = msgspec.json.Decoder(Finding)
_clock_encoder = msgspec.msgpack.Encoder()
_clock_decoder = msgspec.msgpack.Decoder(TenantClock)


class StateRows:
    """States of every rule, and the clocks beside them, to bytes and back."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules: Mapping[str, Rule] = {rule.name: rule for rule in rules}
        self._codec = StateCodec(rules)

    def encode(self, rule: str, held: Held) -> bytes:
        """See ``StateCodec.encode``; only what a rule has just made is stored, and that is there."""
        if held.state is None:
            raise StopError(f"{rule} gave no state to store")
        return _clock_encoder.encode(held.state) if rule == CLOCK else self._codec.encode(self._rules[rule], held.state)

    def decode(self, rule: str, raw: bytes) -> State | None:
        """None for a state that another version of the rule wrote, or a rule that is no more."""
        if rule == CLOCK:
            try:
                return _clock_decoder.decode(raw)
            except msgspec.DecodeError as error:
                raise StateUnreadable(f"a clock does not decode: {error}") from error
        return self._codec.decode(rule, raw) if rule in self._rules else None


class PostgresCaseFiles:
    """See ``CaseFiles``; the transaction must have been switched to ``tenant_id``."""

    def __init__(self, transaction: Transaction, tenant_id: TenantId, codec: StateRows, cache: StateCache) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._tenant_id = tenant_id
        self._codec = codec
        self._cache = cache

    async def states(self, keys: Collection[StateKey]) -> Mapping[StateKey, Held]:
        """See ``CaseFiles.states``. Nothing is locked: ``save_states`` finds out if somebody else was faster."""
        known = self._cache.get(self._tenant_id, keys)
        unknown = [key for key in keys if key not in known]
        if not unknown:
            return known
        rows = await self._connection.fetch(
            # One look-up by key for each: joined, the planner may read all states of the tenant.
            "SELECT held.* FROM unnest($2::text[], $3::text[]) AS asked (rule, entity) CROSS JOIN LATERAL ("  # noqa: S608 - a constant
            f"SELECT rule, entity, state, updated_at, version FROM {SCHEMA}.rule_state AS s "
            "WHERE s.tenant_id = $1 AND s.rule = asked.rule AND s.entity = asked.entity LIMIT 1) AS held",
            self._tenant_id,
            [key.rule for key in unknown],
            [key.entity for key in unknown],
        )
        read = {
            StateKey(row["rule"], Entity(row["entity"])): Held(
                self._codec.decode(row["rule"], row["state"]), row["updated_at"], row["version"]
            )
            for row in rows
        }
        self._cache.put(self._tenant_id, read)
        return known | read

    async def save_states(self, states: Mapping[StateKey, Held]) -> None:
        """See ``CaseFiles.save_states``. In one order, so that two instances cannot wait for each other."""
        ordered = sorted(states)
        done = await self._connection.execute(
            f"INSERT INTO {SCHEMA}.rule_state AS old (tenant_id, rule, entity, state, updated_at, version) "  # noqa: S608 - a constant
            "SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bytea[], $5::float8[], $6::bigint[]) "
            "ON CONFLICT (tenant_id, rule, entity) DO UPDATE "
            "SET state = excluded.state, updated_at = excluded.updated_at, version = excluded.version "
            "WHERE old.version = excluded.version - 1",
            self._tenant_id,
            [key.rule for key in ordered],
            [key.entity for key in ordered],
            [self._codec.encode(key.rule, states[key]) for key in ordered],
            [states[key].updated_at for key in ordered],
            [states[key].version + 1 for key in ordered],
        )
        if int(done.rpartition(" ")[2]) != len(ordered):
            self._cache.drop(self._tenant_id, ordered)
            raise StateConflict(f"another instance has written some of {len(ordered)} states of {self._tenant_id}")
        written = {key: held._replace(version=held.version + 1) for key, held in states.items()}
        self._transaction.after_commit(lambda: self._cache.put(self._tenant_id, written))

    async def findings(
        self, keys: Collection[StateKey], entities: Collection[Entity], quiet_before: float
    ) -> list[Finding]:
        """See ``CaseFiles.findings``."""
        rows = await self._connection.fetch(
            "(SELECT newest.document FROM unnest($2::text[], $3::text[]) AS asked (rule, entity) CROSS JOIN LATERAL ("  # noqa: S608 - a constant
            f"SELECT f.document FROM {SCHEMA}.finding AS f WHERE f.tenant_id = $1 AND f.rule = asked.rule "
            "AND f.entity = asked.entity ORDER BY f.state DESC, f.opened_at DESC LIMIT 1) AS newest) "
            f"UNION ALL (SELECT document FROM {SCHEMA}.finding WHERE tenant_id = $1 AND state = 'open' AND entity = ANY($4::text[])) "
            f"UNION ALL (SELECT document FROM {SCHEMA}.finding WHERE tenant_id = $1 AND state = 'open' AND quiet_at < $5 "
            "ORDER BY quiet_at LIMIT $6)",
            self._tenant_id,
            [key.rule for key in keys],
            [key.entity for key in keys],
            list(entities),
            quiet_before,
            _QUIET_AT_ONCE,
        )
        unique = {finding.finding_id: finding for finding in (_finding_decoder.decode(row["document"]) for row in rows)}
        return list(unique.values())

    async def save_findings(self, findings: Sequence[Finding]) -> None:
        """See ``CaseFiles.save_findings``. Closed ones first: one entity has one open finding of a rule."""
        for finding in sorted(findings, key=lambda finding: (finding.state != "closed", finding.finding_id)):
            await self._connection.execute(
                f"INSERT INTO {SCHEMA}.finding (tenant_id, finding_id, rule, entity, state, severity, opened_at, quiet_at, subjects, document) "  # noqa: S608 - a constant
                "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, finding_id) DO UPDATE SET "
                "state = excluded.state, severity = excluded.severity, quiet_at = excluded.quiet_at, "
                "subjects = excluded.subjects, document = excluded.document",
                finding.tenant_id,
                finding.finding_id,
                finding.rule,
                finding.entity,
                finding.state,
                str(finding.severity),
                datetime.fromtimestamp(finding.opened_at, UTC),
                finding.quiet_at,
                list(finding.subjects),
                msgspec.json.encode(finding).decode(),
            )


class PostgresFindings:
    """See ``FindingReader``."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(
        self,
        tenant_id: TenantId,
        *,
        states: Sequence[str],
        severities: Sequence[Severity],
        rules: Sequence[str],
        after: tuple[float, str] | None,
        limit: int,
    ) -> list[Finding]:
        """See ``FindingReader.page``."""
        before = datetime.fromtimestamp(after[0], UTC) if after is not None else None
        return await self._fetch(
            tenant_id,
            f"SELECT document FROM {SCHEMA}.finding WHERE tenant_id = $1 AND state = ANY($2::text[]) AND severity = ANY($3::text[]) "  # noqa: S608 - a constant
            "AND (cardinality($4::text[]) = 0 OR rule = ANY($4::text[])) "
            "AND ($5::timestamptz IS NULL OR (opened_at, finding_id) < ($5, $6::uuid)) "
            "ORDER BY opened_at DESC, finding_id DESC LIMIT $7",
            list(states),
            [str(severity) for severity in severities],
            list(rules),
            before,
            UUID(after[1]) if after is not None else None,
            limit,
        )

    async def get(self, tenant_id: TenantId, finding_id: UUID) -> Finding | None:
        """See ``FindingReader.get``."""
        found = await self._fetch(
            tenant_id,
            f"SELECT document FROM {SCHEMA}.finding WHERE tenant_id = $1 AND finding_id = $2",  # noqa: S608 - a constant
            finding_id,
        )
        return found[0] if found else None

    async def of_subjects(self, tenant_id: TenantId, subjects: Sequence[str]) -> list[Finding]:
        """See ``FindingReader.of_subjects``."""
        return await self._fetch(
            tenant_id,
            f"SELECT document FROM {SCHEMA}.finding WHERE tenant_id = $1 AND subjects && $2::text[] ORDER BY opened_at, finding_id",  # noqa: S608 - a constant
            list(subjects),
        )

    async def _fetch(self, tenant_id: TenantId, query: str, *arguments: Any) -> list[Finding]:
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(query, tenant_id, *arguments)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error
        return [_finding_decoder.decode(row["document"]) for row in rows]
