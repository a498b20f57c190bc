"""Consumer of ``weir.ops.requests.v1``: request counts into PostgreSQL, with the offsets in the same transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from weir_common.errors import QuarantineError
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Transaction
from weir_common.kafka.records import Record
from weir_common.ops import RequestCounts

from weir_tenant_admin.adapters.postgres_service_levels import add_request_counts
from weir_tenant_admin.domain.latency import dense
from weir_tenant_admin.ports import RequestKey, RequestSums

_decoder = msgspec.json.Decoder(RequestCounts)
_LAST_MINUTE = int(datetime(9000, 1, 1, tzinfo=UTC).timestamp()) // 60


class RequestCountsHandler:
    """Sums a micro-batch by tenant, minute and route before it touches the database."""

    async def apply(self, batch: Sequence[Record], transaction: Transaction) -> None:
        for tenant_id, sums in sorted(summed(batch).items()):
            await transaction.as_tenant(tenant_id)
            await add_request_counts(transaction.connection, tenant_id, sums)


def summed(batch: Sequence[Record]) -> Mapping[TenantId, Mapping[RequestKey, RequestSums]]:
    """The batch by tenant and key; ``QuarantineError`` for a record that is no report of its tenant."""
    result: dict[TenantId, dict[RequestKey, RequestSums]] = defaultdict(lambda: defaultdict(RequestSums))
    for record in batch:
        try:
            counts = _decoder.decode(record.value)
        except msgspec.DecodeError as error:
            raise QuarantineError("malformed_report", str(error), record=record) from error
        if counts.tenant_id != record.tenant_id:
            raise QuarantineError("tenant_mismatch", "header and body name different tenants", record=record)
        if not 0 <= counts.minute_epoch <= _LAST_MINUTE:
            raise QuarantineError("malformed_report", f"minute {counts.minute_epoch} is no time", record=record)
        key = RequestKey(
            datetime.fromtimestamp(counts.minute_epoch * 60, UTC), counts.service, counts.route, counts.method
        )
        sums = result[record.tenant_id][key]
        sums.total += counts.total
        for status, requests in counts.by_status.items():
            if status == "429":
                sums.over_quota += requests
            elif status.startswith("4"):
                sums.client_errors += requests
            elif status.startswith("5"):
                sums.server_errors += requests
        sums.within_50ms += counts.within_50ms
        sums.within_5s += counts.within_5s
        sums.events += counts.events
        for bucket, requests in enumerate(dense(counts.latency_buckets)):
            sums.latency_buckets[bucket] += requests
    return result
