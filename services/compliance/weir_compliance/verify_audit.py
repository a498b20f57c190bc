"""Recompute an audit log from what is stored, through whatever gives its entries."""

from collections.abc import Sequence
from typing import Protocol

from weir_common.ids import TenantId

from weir_compliance.domain.audit_chain import Break, BreakKind, ChainVerifier, Head, StoredEntry, Verdict
from weir_compliance.domain.audit_leaf import log_id_of

_PAGE = 1_000


class EntrySource(Protocol):
    """The database, or the API of somebody else's deployment."""

    async def entries(self, tenant_id: TenantId, after_seq: int, limit: int) -> Sequence[StoredEntry]: ...

    async def head(self, tenant_id: TenantId) -> Head: ...


async def verify_audit(source: EntrySource, tenant_id: TenantId, expected_head: Head | None = None) -> Verdict:
    """The verdict up to the head as it was at the beginning; the log may grow meanwhile."""
    head = await source.head(tenant_id)
    verifier = ChainVerifier(log_id_of(tenant_id), expected_head)
    last = -1
    while page := await source.entries(tenant_id, last, _PAGE):
        for row in page:
            if row.seq < head.size:
                verifier.feed(row)
        last = page[-1].seq
        if last >= head.size - 1:
            break
    verdict = verifier.finish(head)
    if last < head.size:
        return verdict
    # What lies beyond the head must have been appended since; then the head has moved on too.
    later = await source.head(tenant_id)
    if later.size > last:
        return verdict
    beyond = Break(head.log_id, last, "", BreakKind.HEAD, f"{later.size} entries by the head", f"entry {last}")
    return Verdict(
        verdict.log_id, verdict.entries, verdict.erased_payloads, verdict.head_hash, (*verdict.breaks, beyond)
    )
