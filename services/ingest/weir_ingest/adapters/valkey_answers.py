"""Answers in Valkey: ``idempotency:{tenant}:{key}`` → ``digest`` while the request runs, ``digest NUL status NUL body`` afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_ingest.domain.idempotency import Claim, ClaimState, KeptAnswer

_T = TypeVar("_T")


class ValkeyAnswers:
    """A claim lapses after ``claim_seconds``: its holder was killed, and the request may be done again."""

    def __init__(
        self, client: Redis, *, ttl_seconds: int, claim_seconds: int = 30, timeout_seconds: float = 0.5
    ) -> None:
        self._client = client
        self._ttl_seconds = ttl_seconds
        self._claim_seconds = claim_seconds
        self._timeout_seconds = timeout_seconds

    async def claim(self, tenant_id: TenantId, key: str, digest: str) -> Claim:
        """See ``AnswerStore.claim``."""
        # NX with GET: either it was nobody's and is ours now, or we are told what it is.
        known = await self._within(
            self._client.set(_key(tenant_id, key), digest.encode(), ex=self._claim_seconds, nx=True, get=True)
        )
        if not isinstance(known, bytes):
            return Claim(ClaimState.OURS)
        kept_digest, _, rest = known.partition(b"\0")
        if kept_digest.decode() != digest:
            return Claim(ClaimState.OTHER_REQUEST)
        if not rest:
            return Claim(ClaimState.RUNNING)
        status, _, body = rest.partition(b"\0")
        return Claim(ClaimState.DONE, KeptAnswer(int(status), msgspec.Raw(body)))

    async def keep(self, tenant_id: TenantId, key: str, digest: str, answer: KeptAnswer) -> None:
        """See ``AnswerStore.keep``."""
        value = b"\0".join((digest.encode(), str(answer.status).encode(), bytes(answer.body)))
        await self._within(self._client.set(_key(tenant_id, key), value, ex=self._ttl_seconds))

    async def release(self, tenant_id: TenantId, key: str) -> None:
        """See ``AnswerStore.release``."""
        await self._within(self._client.delete(_key(tenant_id, key)))

    async def _within(self, call: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await call
        except (RedisError, TimeoutError, OSError) as error:
            raise RetryError(f"Valkey did not answer: {error!r}") from error


def _key(tenant_id: TenantId, key: str) -> str:
    return f"idempotency:{tenant_id}:{key}"
