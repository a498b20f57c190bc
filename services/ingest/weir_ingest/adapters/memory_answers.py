"""Answers in memory, for unit tests; passes the same contract tests as the real store."""

from __future__ import annotations

from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_ingest.domain.idempotency import Claim, ClaimState, KeptAnswer


class MemoryAnswers:
    """``fail`` makes every call fail as an outage does."""

    def __init__(self) -> None:
        self._known: dict[tuple[TenantId, str], tuple[str, KeptAnswer | None]] = {}
        self.fail = False

    async def claim(self, tenant_id: TenantId, key: str, digest: str) -> Claim:
        """See ``AnswerStore.claim``."""
        self._check()
        known = self._known.get((tenant_id, key))
        if known is None:
            self._known[tenant_id, key] = (digest, None)
            return Claim(ClaimState.OURS)
        if known[0] != digest:
            return Claim(ClaimState.OTHER_REQUEST)
        return Claim(ClaimState.RUNNING) if known[1] is None else Claim(ClaimState.DONE, known[1])

    async def keep(self, tenant_id: TenantId, key: str, digest: str, answer: KeptAnswer) -> None:
        """See ``AnswerStore.keep``."""
        self._check()
        self._known[tenant_id, key] = (digest, answer)

    async def release(self, tenant_id: TenantId, key: str) -> None:
        """See ``AnswerStore.release``."""
        self._check()
        self._known.pop((tenant_id, key), None)

    def _check(self) -> None:
        if self.fail:
            raise RetryError("the store is away")
