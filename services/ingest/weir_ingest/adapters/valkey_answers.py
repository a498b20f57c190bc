"""Answers in Valkey: ``idempotency:{tenant}:{hash of key}`` → a mark while the request runs, mark and sealed answer afterwards.

An answer quotes what was wrong with an event, and that may be a person's data. So it is sealed under a key that only who sends the
same request again has: it is made from the request's digest, of which Valkey gets another hash, the mark. The caller's own key is
hashed, too: some put a mail address into it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from hashlib import blake2b
from typing import Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis
from redis.exceptions import RedisError
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_ingest.domain.idempotency import Claim, ClaimState, KeptAnswer

_T = TypeVar("_T")

_MARK_BYTES: Final = 16
_NONCE_BYTES: Final = 12


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
        mark, cipher = _mark(digest), _cipher(digest)
        known = await self._within(
            self._client.set(_name(tenant_id, key), mark, ex=self._claim_seconds, nx=True, get=True)
        )
        if not isinstance(known, bytes):
            return Claim(ClaimState.OURS)
        if known[:_MARK_BYTES] != mark:
            return Claim(ClaimState.OTHER_REQUEST)
        if len(known) == _MARK_BYTES:
            return Claim(ClaimState.RUNNING)
        nonce, sealed = known[_MARK_BYTES : _MARK_BYTES + _NONCE_BYTES], known[_MARK_BYTES + _NONCE_BYTES :]
        try:
            status, _, body = cipher.decrypt(nonce, sealed, tenant_id.encode()).partition(b"\0")
        except InvalidTag as error:
            raise RetryError("a kept answer does not open: it is not what was put there") from error
        return Claim(ClaimState.DONE, KeptAnswer(int(status), msgspec.Raw(body)))

    async def keep(self, tenant_id: TenantId, key: str, digest: str, answer: KeptAnswer) -> None:
        """See ``AnswerStore.keep``."""
        nonce = os.urandom(_NONCE_BYTES)
        plain = str(answer.status).encode() + b"\0" + bytes(answer.body)
        value = _mark(digest) + nonce + _cipher(digest).encrypt(nonce, plain, tenant_id.encode())
        await self._within(self._client.set(_name(tenant_id, key), value, ex=self._ttl_seconds))

    async def release(self, tenant_id: TenantId, key: str) -> None:
        """See ``AnswerStore.release``."""
        await self._within(self._client.delete(_name(tenant_id, key)))

    async def _within(self, call: Awaitable[_T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await call
        except (RedisError, TimeoutError, OSError) as error:
            raise RetryError(f"Valkey did not answer: {error!r}") from error


def _name(tenant_id: TenantId, key: str) -> str:
    return f"idempotency:{tenant_id}:{blake2b(key.encode(), key=_salt(tenant_id), digest_size=16).hexdigest()}"


def _salt(tenant_id: TenantId) -> bytes:
    # A tenant's id has at most 63 characters, and blake2b takes a key of 64 bytes.
    return tenant_id.encode()[:64]


def _mark(digest: str) -> bytes:
    return blake2b(digest.encode(), digest_size=_MARK_BYTES, person=b"weir.mark").digest()


def _cipher(digest: str) -> AESGCM:
    return AESGCM(blake2b(digest.encode(), digest_size=32, person=b"weir.answer").digest())
