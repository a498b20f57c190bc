"""Verifying a log that grows while it is read, page by page, from wherever it comes."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

from weir_common.ids import TenantId
from weir_compliance.domain.audit_chain import BreakKind, Head, StoredEntry
from weir_compliance.domain.audit_leaf import GENESIS, AuditFact, log_id_of, write_leaf
from weir_compliance.verify_audit import verify_audit

TENANT = TenantId("shop-1")


class GrowingLog:
    """Appends an entry at every reading, as the API does, since reading is audited."""

    def __init__(self, size: int, *, grows: bool) -> None:
        self.rows: list[StoredEntry] = []
        self._grows = grows
        for _ in range(size):
            self.append()

    def append(self) -> None:
        seq = len(self.rows)
        fact = AuditFact(f"e-{seq}", TENANT, datetime.now(UTC), "a", "machine", "x", "o", "success", "s", "", b"{}")
        previous = self.rows[-1].leaf_hash if self.rows else GENESIS
        salt = os.urandom(32)
        leaf = write_leaf(fact, log_id=log_id_of(TENANT), seq=seq, previous=previous, salt=salt)
        self.rows.append(StoredEntry(seq, fact.entry_id, leaf.data, leaf.hash, salt, fact.payload))

    async def entries(self, tenant_id: TenantId, after_seq: int, limit: int) -> Sequence[StoredEntry]:
        if self._grows:
            self.append()
        return [row for row in self.rows if row.seq > after_seq][:limit]

    async def head(self, tenant_id: TenantId) -> Head:
        return Head(log_id_of(TENANT), len(self.rows), self.rows[-1].leaf_hash if self.rows else GENESIS)


async def test_a_log_longer_than_a_page() -> None:
    verdict = await verify_audit(GrowingLog(2_500, grows=False), TENANT)
    assert (verdict.intact, verdict.entries) == (True, 2_500)


async def test_a_log_that_grows_by_being_read_is_verified_to_the_head_it_had() -> None:
    verdict = await verify_audit(GrowingLog(2_500, grows=True), TENANT)
    assert (verdict.intact, verdict.entries) == (True, 2_500)


async def test_an_entry_behind_the_head_that_no_head_ever_covers() -> None:
    log = GrowingLog(5, grows=False)
    head = await log.head(TENANT)
    log.append()

    async def stuck(tenant_id: TenantId) -> Head:
        return head

    log.head = stuck  # type: ignore[method-assign]
    verdict = await verify_audit(log, TENANT)
    assert [(found.kind, found.seq) for found in verdict.breaks] == [(BreakKind.HEAD, 5)]
