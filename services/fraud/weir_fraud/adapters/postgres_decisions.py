"""Decisions in PostgreSQL, announced by the outbox in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import asyncpg
import msgspec
from weir_common.errors import RetryError
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.kafka.partitioner import event_key, partition_of
from weir_common.kafka.records import OutgoingRecord, event_headers
from weir_common.kafka.topics import DECISIONS
from weir_common.outbox import add_to_outbox
from weir_common.postgres import Connection, tenant_transaction
from weir_common.telemetry import traceparent_of

from weir_fraud.domain.decision import Contribution, Decision, Outcome
from weir_fraud.domain.payment import Payment

SCHEMA = "fraud"

_COLUMNS = (
    "tenant_id, event_id, transaction_id, user_id, anonymous_id, amount, currency, score, outcome, reason_codes, "
    "explanation, model_version, event_at, decided_at"
)


class DecisionRecord(msgspec.Struct, frozen=True):
    """The value of a record on ``weir.fraud.decisions.v1``; amounts are decimal strings."""

    event_id: str
    tenant_id: str
    transaction_id: str | None
    user_id: str | None
    amount: str
    currency: str
    score: float
    outcome: str
    reason_codes: list[str]
    model_version: str
    decided_at: datetime
    event_timestamp: datetime


class Explanation(msgspec.Struct, frozen=True):
    """The column ``explanation``."""

    margin: float
    base_value: float
    contributions: list[Contribution]
    latency_seconds: float


class PostgresDecisions:
    """See ``DecisionStore``."""

    def __init__(self, pool: asyncpg.Pool, wake_outbox: Callable[[], None]) -> None:
        self._pool = pool
        self._wake_outbox = wake_outbox

    async def find(self, tenant_id: str, event_id: str) -> Decision | None:
        """See ``DecisionStore.find``."""
        try:
            async with tenant_transaction(self._pool, TenantId(tenant_id), readonly=True) as connection:
                return (await find_decisions(connection, tenant_id, [event_id])).get(event_id)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error

    async def save(self, payment: Payment, decision: Decision, values: Sequence[float]) -> Decision:
        """See ``DecisionStore.save``."""
        try:
            async with tenant_transaction(self._pool, TenantId(payment.tenant_id)) as connection:
                inserted = await insert_decisions(connection, [(payment, decision)])
                if not inserted:
                    found = await find_decisions(connection, payment.tenant_id, [payment.event_id])
                    return found[payment.event_id]
                await add_to_outbox(connection, SCHEMA, [decision_record(payment, decision, traceparent_of())])
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise RetryError(f"PostgreSQL did not answer: {error!r}") from error
        self._wake_outbox()
        return decision


async def find_decisions(connection: Connection, tenant_id: str, event_ids: Sequence[str]) -> dict[str, Decision]:
    """Decisions that exist among the events of one tenant."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM {SCHEMA}.decision WHERE tenant_id = $1 AND event_id = ANY($2::text[])",  # noqa: S608 - constants
        tenant_id,
        list(event_ids),
    )
    return {row["event_id"]: decision_of(row) for row in rows}


async def insert_decisions(connection: Connection, decisions: Sequence[tuple[Payment, Decision]]) -> set[str]:
    """Insert decisions of one tenant; gives the event ids that had none before."""
    rows = await connection.fetch(
        f"INSERT INTO {SCHEMA}.decision ({_COLUMNS}) SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], "  # noqa: S608 - constants
        "$5::text[], $6::numeric[], $7::text[], $8::float8[], $9::text[], $10::jsonb[], $11::jsonb[], $12::text[], "
        "$13::timestamptz[], $14::timestamptz[]) ON CONFLICT (tenant_id, event_id) DO NOTHING RETURNING event_id",
        *(list(column) for column in zip(*(_row(payment, decision) for payment, decision in decisions), strict=True)),
    )
    return {row["event_id"] for row in rows}


def decision_record(payment: Payment, decision: Decision, traceparent: str | None) -> OutgoingRecord:
    """The announcement, on the partition of the payment's own events."""
    tenant_id = TenantId(payment.tenant_id)
    subject = SubjectId(payment.user or payment.device or payment.event_id)
    value = DecisionRecord(
        event_id=payment.event_id,
        tenant_id=payment.tenant_id,
        transaction_id=payment.transaction_id,
        user_id=payment.user_id,
        amount=str(payment.amount),
        currency=payment.currency,
        score=decision.score,
        outcome=decision.outcome,
        reason_codes=decision.reason_codes,
        model_version=decision.model_version,
        decided_at=decision.decided_at,
        event_timestamp=datetime.fromtimestamp(payment.at, UTC),
    )
    return OutgoingRecord(
        topic=DECISIONS,
        key=event_key(tenant_id, subject),
        value=msgspec.json.encode(value),
        partition=partition_of(tenant_id, subject),
        headers=event_headers(tenant_id, EventId(payment.event_id), traceparent=traceparent),
    )


def decision_of(row: asyncpg.Record) -> Decision:
    """A stored decision, marked as repeated."""
    explanation = msgspec.json.decode(row["explanation"], type=Explanation)
    return Decision(
        tenant_id=row["tenant_id"],
        event_id=row["event_id"],
        score=row["score"],
        outcome=Outcome(row["outcome"]),
        reason_codes=msgspec.json.decode(row["reason_codes"], type=list[str]),
        margin=explanation.margin,
        base_value=explanation.base_value,
        contributions=explanation.contributions,
        model_version=row["model_version"],
        decided_at=row["decided_at"],
        latency_seconds=explanation.latency_seconds,
        repeated=True,
    )


def _row(payment: Payment, decision: Decision) -> tuple[object, ...]:
    explanation = Explanation(decision.margin, decision.base_value, decision.contributions, decision.latency_seconds)
    return (
        payment.tenant_id,
        payment.event_id,
        payment.transaction_id,
        payment.user_id,
        payment.anonymous_id,
        payment.amount,
        payment.currency,
        decision.score,
        str(decision.outcome),
        msgspec.json.encode(decision.reason_codes).decode(),
        msgspec.json.encode(explanation).decode(),
        decision.model_version,
        datetime.fromtimestamp(payment.at, UTC),
        decision.decided_at,
    )
