"""The writer of the audit log: consumes the audit topic (one partition, so one order) and appends."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

import msgspec
from weir_common.audit import AuditEntry
from weir_common.errors import QuarantineError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record
from weir_common.telemetry import meter

from weir_compliance.adapters.postgres_audit import PostgresAuditAppender
from weir_compliance.domain.audit_leaf import GENESIS, SALT_BYTES, AuditFact, UnwritableEntryError, write_leaf
from weir_compliance.domain.canonical_json import canonical_json
from weir_compliance.ports import Clock

_decoder = msgspec.json.Decoder(AuditEntry)
# The longest position that a log will ever have: if the leaf fits there, it fits anywhere.
_FARTHEST = 2**63 - 1


class AppendAudit:
    """Effects, head and offsets commit together; an entry that came before is recognised by its id."""

    def __init__(self, appender: PostgresAuditAppender, clock: Clock) -> None:
        self._appender = appender
        self._clock = clock
        self._appended = meter().create_counter(
            "weir.compliance.audit.entries", unit="{entry}", description="Entries appended to audit logs"
        )

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        by_tenant: dict[TenantId, list[AuditFact]] = {}
        for record in batch:
            fact = fact_of(record)
            by_tenant.setdefault(TenantId(fact.tenant_id), []).append(fact)
        at: datetime = self._clock()
        for tenant_id, facts in sorted(by_tenant.items()):
            await transaction.as_tenant(tenant_id)
            appended = await self._appender.append(transaction.connection, tenant_id, facts, at)
            transaction.after_commit(partial(self._appended.add, appended))


def fact_of(record: Record) -> AuditFact:
    """The entry in the record. QuarantineError when it is none, or belongs to another tenant than its header says."""
    try:
        entry = _decoder.decode(record.value)
        entry_id = str(UUID(entry.entry_id))
        fact = AuditFact(
            entry_id=entry_id,
            tenant_id=entry.tenant_id,
            occurred_at=entry.occurred_at,
            actor=entry.actor,
            actor_kind=entry.actor_kind,
            action=entry.action,
            object_ref=entry.object_ref,
            outcome=entry.outcome,
            service=entry.service,
            trace_id=entry.trace_id,
            payload=canonical_json(entry.detail),
        )
        write_leaf(fact, log_id=entry.tenant_id, seq=_FARTHEST, previous=GENESIS, salt=bytes(SALT_BYTES))
    except UnwritableEntryError as error:
        raise QuarantineError("audit_entry_unwritable", str(error), record=record) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise QuarantineError("audit_entry_malformed", type(error).__name__, record=record) from error
    if record.tenant_id != entry.tenant_id:
        raise QuarantineError("audit_entry_of_other_tenant", record=record)
    return fact
