"""Decisions in PostgreSQL, announced by the outbox in the same transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.kafka.records import OutgoingRecord
from weir_common.outbox import outbox_columns, outbox_row
from weir_common.postgres import Connection, tenant_transaction
from weir_common.telemetry import traceparent_of

from weir_fraud.adapters.decision_record import decision_record
from weir_fraud.adapters.postgres_faults import AWAY
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import explained
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.degradation import Degraded
from weir_fraud.domain.model import ModelCard, Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import (
    Observation,
    PaymentKind,
    moment_of,
    pack,
    unpack,
)
from weir_fraud.errors import DecisionStoreUnavailable
from weir_fraud.let_others import let_others

SCHEMA: Final = "fraud"
_PAGE: Final = 200
_NOBODY: Final = bytes(16)
"""Instead of the digest of an entity that a payment lacks."""
_ROWS_A_STEP: Final = 5
"""After so many rows of a batch the others of the loop have their turn."""

_COLUMNS: Final = (
    "tenant_id, event_id, transaction_id, kind, subject, user_id, anonymous_id, amount, currency, event_timestamp, decided_at, "
    "outcome, score, margin, base_value, feature_values, contributions, reason_codes, model_version, source, latency, "
    "policy_version, review, decline, model_outcome, policy_rule, policy_errors, country, billing_country, shipping_country, "
    "payment_declined, histories, degraded, least_outcome, declines_halted"
)
_SELECT: Final = (
    f"SELECT {', '.join('d.' + column for column in _COLUMNS.split(', '))}, m.features, "  # noqa: S608 - constants
    "m.review AS model_review, m.decline AS model_decline "
    "FROM fraud.decision AS d JOIN fraud.model AS m ON m.version = d.model_version WHERE d.tenant_id = $1 AND "
)
_SELECT_EACH: Final = (
    "SELECT found.* FROM unnest($2::uuid[]) AS asked (event) "  # noqa: S608 - constants
    f"CROSS JOIN LATERAL ({_SELECT} d.event_id = asked.event LIMIT 1) AS found"
)

# Values and shares come beside their row, as texts: as arrays of doubles each of their elements is a call in Python, of which a decision has 130.
# Unknown values are null in the text and NaN in the table.
_AS_TEXTS: Final = ("feature_values", "contributions")
_WHOLE: Final = (
    "ROW("
    + ", ".join(
        f"array_replace({column}_text::float8[], NULL, 'NaN')" if column in _AS_TEXTS else f"d.{column}"
        for column in _COLUMNS.split(", ")
    )
    + ")::fraud.decision"
)
_RECORD: Final = (
    f"SELECT fraud.record_decision({_WHOLE}, $4, $5, $6, $7, $8, $9, $10) "  # noqa: S608 - constants
    "FROM (SELECT (one).* FROM (SELECT $1::fraud.decision AS one OFFSET 0) AS given) AS d, "
    "(SELECT $2::text, $3::text) AS texts (feature_values_text, contributions_text)"
)
_ROWS: Final = (
    f"(SELECT array_agg({_WHOLE} ORDER BY place) FROM unnest($1::fraud.decision[], $2::text[], $3::text[]) "  # noqa: S608 - constants
    f"WITH ORDINALITY AS d ({_COLUMNS}, feature_values_text, contributions_text, place))"
)

# One statement and so one transaction and one round trip. Only decisions that are ours are announced; their order is that of the batch.
_RECORD_ALL: Final = f"""
    WITH made AS MATERIALIZED (SELECT event_id FROM fraud.record_decisions({_ROWS}, $10, $11, $12)),
    announced AS (
        INSERT INTO fraud.outbox (topic, key, value, headers, "partition")
        SELECT topic, key, value, headers::jsonb, "partition"
        FROM unnest($4::text[], $5::bytea[], $6::bytea[], $7::text[], $8::integer[], $9::uuid[])
            WITH ORDINALITY AS new (topic, key, value, headers, "partition", event_id, place)
        WHERE event_id IN (SELECT event_id FROM made) ORDER BY place
    )
    SELECT event_id FROM made
"""  # noqa: S608 - constants


class PostgresDecisions:
    """See `DecisionStore`."""

    def __init__(self, pool: asyncpg.Pool, catalogue: Catalogue, wake_outbox: Callable[[], None]) -> None:
        self._pool = pool
        self._catalogue = catalogue
        self._wake_outbox = wake_outbox

    async def register(self, card: ModelCard) -> None:
        """Keep the card of a model before the first decision by it."""
        try:
            async with self._pool.acquire(timeout=5) as connection:
                await connection.execute(
                    "INSERT INTO fraud.model (version, features, review, decline, card) VALUES ($1, $2, $3, $4, $5) "
                    "ON CONFLICT (version) DO NOTHING",
                    card.version,
                    list(card.features),
                    card.thresholds.review,
                    card.thresholds.decline,
                    msgspec.json.encode(card).decode(),
                )
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not take the model card: {error!r}") from error

    async def rehearse(self, decision: Decision) -> None:
        """Have each connection of the pool store a decision both ways and take it back (see `rehearse`).

        `DecisionStoreUnavailable` (retry) when PostgreSQL does not answer.
        """
        try:
            async with AsyncExitStack() as stack:
                # All are lent before the first is used, so that it is each one's turn.
                connections = [
                    await stack.enter_async_context(self._pool.acquire(timeout=5))
                    for _ in range(self._pool.get_max_size())
                ]
                for connection in connections:
                    await self._taken_back(connection, decision)
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error

    async def _taken_back(self, connection: Connection, decision: Decision) -> None:
        transaction = connection.transaction()
        await transaction.start()
        try:
            record = decision_record(decision, None)
            await connection.fetchval(
                _RECORD, _row(decision), *_texts(decision), *outbox_row(record), *_unobserved(decision)
            )
            row = _row(decision)
            await connection.fetch(_RECORD_ALL, [row], *_columns([_texts(decision)]), *outbox_columns([record]), [row[1]], [], [], [])  # fmt: skip
        finally:
            await transaction.rollback()

    async def find(self, tenant_id: TenantId, event_id: EventId) -> Decision | None:
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                return await self._find(connection, tenant_id, event_id)
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error

    async def record(self, decision: Decision) -> Decision:
        try:
            async with self._pool.acquire(timeout=5) as connection:
                made = await connection.fetchval(
                    _RECORD,
                    _row(decision),
                    *_texts(decision),
                    *outbox_row(decision_record(decision, traceparent_of())),
                    *_unobserved(decision),
                )
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        if made:
            self._wake_outbox()
            return decision
        first = await self.find(decision.tenant_id, decision.event_id)
        if first is None:
            raise DecisionStoreUnavailable("the decision that was first is not to be seen")
        return first

    async def record_all(self, tenant_id: TenantId, decisions: Sequence[Decision]) -> list[Decision]:
        rows: list[tuple[Any, ...]] = []
        texts: list[tuple[str, str]] = []
        records: list[OutgoingRecord] = []
        traceparent = traceparent_of()
        for decision in decisions:
            if len(rows) % _ROWS_A_STEP == _ROWS_A_STEP - 1:
                await let_others()
            rows.append(_row(decision))
            texts.append(_texts(decision))
            records.append(decision_record(decision, traceparent))
        events = [row[1] for row in rows]
        unobserved = [decision for decision in decisions if decision.unobserved is not None]
        kept = (
            [UUID(decision.event_id) for decision in unobserved],
            [_unobserved(decision)[0] for decision in unobserved],
            [_unobserved(decision)[1] for decision in unobserved],
        )
        try:
            async with self._pool.acquire(timeout=5) as connection:
                stored = await connection.fetch(
                    _RECORD_ALL, rows, *_columns(texts), *outbox_columns(records), events, *kept
                )
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        made = {row["event_id"] for row in stored}
        if made:
            self._wake_outbox()
        earlier = [event for event in events if event not in made]
        first = await self._find_all(tenant_id, earlier) if earlier else {}
        if len(first) != len(earlier):
            raise DecisionStoreUnavailable("decisions that were first are not to be seen")
        return [first.get(event, decision) for event, decision in zip(events, decisions, strict=True)]

    async def _find_all(self, tenant_id: TenantId, events: Sequence[UUID]) -> dict[UUID, Decision]:
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(_SELECT_EACH, tenant_id, events)
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        return {row["event_id"]: self._decision(row) for row in rows}

    async def of_subject(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> AsyncIterator[Decision]:
        last = UUID(int=0)
        while True:
            try:
                async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                    rows = await connection.fetch(
                        f"{_SELECT} d.event_id > $2 AND (d.user_id = ANY($3::text[]) OR d.anonymous_id = ANY($4::text[])) "
                        "ORDER BY d.event_id LIMIT $5",
                        tenant_id,
                        last,
                        list(user_ids),
                        list(anonymous_ids),
                        _PAGE,
                    )
            except AWAY as error:
                raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
            for row in rows:
                yield self._decision(row)
            if len(rows) < _PAGE:
                return
            last = rows[-1]["event_id"]

    async def unobserved(
        self, tenant_id: TenantId, user_ids: Sequence[str], anonymous_ids: Sequence[str]
    ) -> list[Observation]:
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(
                    "SELECT u.observation FROM fraud.unobserved_payment AS u JOIN fraud.decision AS d USING (tenant_id, event_id) "
                    "WHERE u.tenant_id = $1 AND (d.user_id = ANY($2::text[]) OR d.anonymous_id = ANY($3::text[])) "
                    "ORDER BY d.event_timestamp, d.event_id",
                    tenant_id,
                    list(user_ids),
                    list(anonymous_ids),
                )
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        return [unpack(row["observation"]) for row in rows]

    async def newest(
        self, tenant_id: TenantId, since: datetime, before: tuple[datetime, EventId] | None, limit: int
    ) -> list[tuple[Decision, Thresholds]]:
        # From the far end of time where nothing was seen yet: one statement, one plan.
        at, event_id = before or (datetime.max.replace(tzinfo=UTC), EventId(str(UUID(int=2**128 - 1))))
        try:
            async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
                rows = await connection.fetch(
                    f"{_SELECT} d.decided_at >= $2 AND (d.decided_at, d.event_id) < ($3, $4) "
                    "ORDER BY d.decided_at DESC, d.event_id DESC LIMIT $5",
                    tenant_id,
                    since,
                    at,
                    UUID(event_id),
                    limit,
                )
        except AWAY as error:
            raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
        return [(self._decision(row), _of_model(row)) for row in rows]

    async def _find(self, connection: Connection, tenant_id: TenantId, event_id: EventId) -> Decision | None:
        row = await connection.fetchrow(f"{_SELECT} d.event_id = $2", tenant_id, UUID(event_id))
        return None if row is None else self._decision(row)

    def _decision(self, row: asyncpg.Record) -> Decision:
        return Decision(
            tenant_id=TenantId(row["tenant_id"]),
            event_id=EventId(str(row["event_id"])),
            transaction_id=row["transaction_id"],
            kind=PaymentKind(row["kind"]),
            subject=SubjectId(row["subject"]),
            user_id=row["user_id"],
            anonymous_id=row["anonymous_id"],
            amount=row["amount"],
            currency=row["currency"],
            event_timestamp=row["event_timestamp"],
            decided_at=row["decided_at"],
            outcome=Outcome(row["outcome"]),
            score=row["score"],
            margin=row["margin"],
            base=row["base_value"],
            contributions=explained(self._catalogue, row["features"], row["feature_values"], row["contributions"]),
            model_version=row["model_version"],
            thresholds=_thresholds(row),
            source=Source(row["source"]),
            latency=row["latency"],
            histories=digests_of(row["histories"]),
            policy_version=row["policy_version"],
            model_outcome=Outcome(row["model_outcome"] or row["outcome"]),
            policy_rule=row["policy_rule"],
            policy_errors=tuple(row["policy_errors"] or ()),
            country=row["country"],
            billing_country=row["billing_country"],
            shipping_country=row["shipping_country"],
            declined=row["payment_declined"],
            degraded=tuple(Degraded(name) for name in row["degraded"] or ()),
            least_outcome=Outcome(row["least_outcome"] or Outcome.APPROVE),
            is_explained=len(row["contributions"]) == len(row["feature_values"]),
            declines_halted=bool(row["declines_halted"]),
            announced_codes=tuple(row["reason_codes"]),
        )


def _thresholds(row: asyncpg.Record) -> Thresholds:
    # Before there were policies the model's own decided.
    return _of_model(row) if row["review"] is None else Thresholds(review=row["review"], decline=row["decline"])


def _of_model(row: asyncpg.Record) -> Thresholds:
    return Thresholds(review=row["model_review"], decline=row["model_decline"])


async def decided_before(
    connection: Connection, payments: Sequence[tuple[TenantId, EventId]]
) -> set[tuple[TenantId, EventId]]:
    """Which of these events, of any tenants, have a decision. The transaction is switched to one of the tenants."""
    rows = await connection.fetch(
        "SELECT tenant_id, event_id FROM fraud.decided_before($1, $2)",
        [tenant_id for tenant_id, _ in payments],
        [UUID(event_id) for _, event_id in payments],
    )
    return {(TenantId(row["tenant_id"]), EventId(str(row["event_id"]))) for row in rows}


async def record_decisions(connection: Connection, decisions: Sequence[Decision]) -> set[tuple[TenantId, EventId]]:
    """Store decisions, of any tenants; gives the events whose decision is ours. The transaction is switched to one of the tenants."""
    given: list[tuple[Any, ...]] = []
    texts: list[tuple[str, str]] = []
    for decision in decisions:
        if len(given) % _ROWS_A_STEP == _ROWS_A_STEP - 1:
            await let_others()
        given.append(_row(decision))
        texts.append(_texts(decision))
    rows = await connection.fetch(
        f"SELECT tenant_id, event_id FROM fraud.record_decisions({_ROWS})",  # noqa: S608 - constants
        given,
        *_columns(texts),
    )
    return {(TenantId(row["tenant_id"]), EventId(str(row["event_id"]))) for row in rows}


def packed_digests(digests: Sequence[bytes]) -> bytes:
    """16 bytes an entity; zeros for one that the payment lacks."""
    return b"".join(digest or _NOBODY for digest in digests)


def digests_of(packed: bytes | None) -> tuple[bytes, ...]:
    cut = (
        (packed[start : start + len(_NOBODY)] for start in range(0, len(packed or b""), len(_NOBODY))) if packed else ()
    )
    return tuple(b"" if digest == _NOBODY else digest for digest in cut)


def _row(decision: Decision) -> tuple[Any, ...]:
    return (
        decision.tenant_id,
        UUID(decision.event_id),
        decision.transaction_id,
        decision.kind.value,
        decision.subject,
        decision.user_id,
        decision.anonymous_id,
        decision.amount,
        decision.currency,
        decision.event_timestamp,
        decision.decided_at,
        decision.outcome.value,
        decision.score,
        decision.margin,
        decision.base,
        None,
        None,
        list(decision.reason_codes),
        decision.model_version,
        decision.source.value,
        timedelta(microseconds=decision.latency // timedelta(microseconds=1)),
        decision.policy_version,
        decision.thresholds.review,
        decision.thresholds.decline,
        decision.model_outcome.value,
        decision.policy_rule,
        list(decision.policy_errors) or None,
        decision.country,
        decision.billing_country,
        decision.shipping_country,
        decision.declined,
        packed_digests(decision.histories) or None,
        list(decision.degraded) or None,
        None if decision.least_outcome is Outcome.APPROVE else decision.least_outcome.value,
        decision.declines_halted,
    )


def _texts(decision: Decision) -> tuple[str, str]:
    """Feature values and contributions as PostgreSQL writes arrays; the shortest text of a double is the same double there."""
    return _array(decision.contributions.values), _array(
        decision.contributions.shares
    ) if decision.is_explained else "{}"


def _array(numbers: Sequence[float]) -> str:
    return f"{{{msgspec.json.encode(numbers)[1:-1].decode()}}}"


def _columns(texts: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [values for values, _ in texts], [shares for _, shares in texts]


def _unobserved(decision: Decision) -> tuple[bytes | None, datetime | None]:
    own = decision.unobserved
    return (None, None) if own is None else (pack(own), moment_of(own.received_at))
