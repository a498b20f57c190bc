"""The online histories in Valkey: one function call a payment, one round trip a batch."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_fraud.adapters.lua_program import lua_program
from weir_fraud.domain.aggregate import RETENTION_SECONDS, Aggregate, Entity
from weir_fraud.domain.history import Snapshot, forget_before
from weir_fraud.domain.payment import Payment, observation_of, pack
from weir_fraud.errors import FeatureStoreUnavailable

log = structlog.get_logger(__name__)

LAYOUT: Final = "v1"
"""Of `pack`; another layout has other keys."""


class ValkeyFeatures:
    """Histories of 31 days and snapshots of 15 minutes, the duplicate window of the consumers. Every key has a TTL.

    All keys of a tenant carry the same hash tag, so that the function finds them on one node of a cluster.
    """

    def __init__(
        self,
        client: Redis,
        plan: Sequence[Aggregate],
        *,
        history_ttl_seconds: int = RETENTION_SECONDS,
        snapshot_ttl_seconds: int = 900,
    ) -> None:
        self._client = client
        self._program = lua_program(plan)
        self._answer = struct.Struct(f"<{len(plan)}d")
        self._history_ttl = history_ttl_seconds * 1000
        self._snapshot_ttl = snapshot_ttl_seconds * 1000
        self._duration = meter().create_histogram(
            "weir.fraud.features.duration", unit="s", description="Update and read of the features, one round trip"
        )

    @property
    def function_name(self) -> str:
        """On the server; it names the plan."""
        return self._program.name

    async def load(self) -> None:
        """Bring the function to the server; one of the same name has the same text."""
        try:
            await self._client.function_load(self._program.source, replace=True)
        except RedisError as error:
            raise FeatureStoreUnavailable(f"Valkey does not take the feature function: {error!r}") from error

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        if not payments:
            return []
        started = time.perf_counter()
        calls = [self._call(payment) for payment in payments]
        try:
            try:
                answers = await self._run(calls)
            except ResponseError as error:
                if not _is_missing_function(error):
                    raise
                # A server that was emptied or replaced: calls that did run before this one are no-ops when repeated.
                log.warning("the feature function is gone from Valkey, loading it again")
                await self.load()
                answers = await self._run(calls)
        except (RedisError, OSError, TimeoutError) as error:
            raise FeatureStoreUnavailable(f"Valkey did not answer: {error!r}") from error
        self._duration.record(time.perf_counter() - started)
        return [self._answer.unpack(answer) for answer in answers]

    async def history(self, tenant_id: TenantId, users: Sequence[str]) -> bytes:
        try:
            found: list[Any] = await self._client.mget([_history_key(tenant_id, Entity.USER, user) for user in users])
        except (RedisError, OSError, TimeoutError) as error:
            raise FeatureStoreUnavailable(f"Valkey did not answer: {error!r}") from error
        return b"".join(history for history in found if history is not None)

    async def health(self) -> str | None:
        """None while Valkey answers."""
        try:
            await self._client.ping()
        except (RedisError, OSError, TimeoutError) as error:
            return f"Valkey does not answer: {error!r}"
        return None

    async def _run(self, calls: Sequence[tuple[Any, ...]]) -> list[bytes]:
        if len(calls) == 1:
            return [await self._client.fcall(self._program.name, 4, *calls[0])]
        async with self._client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.fcall(self._program.name, 4, *call)
            return list(await pipeline.execute())

    def _call(self, payment: Payment) -> tuple[Any, ...]:
        own = observation_of(payment)
        snapshot = f"fraud:{{{payment.tenant_id}}}:{self._program.name[-8:]}:{payment.event_id}"
        identities = (
            (Entity.USER, payment.user),
            (Entity.DEVICE, payment.device),
            (Entity.PAYMENT_TOKEN, payment.payment_token),
        )
        return (
            snapshot,
            *(
                _history_key(payment.tenant_id, entity, identity) if identity else snapshot
                for entity, identity in identities
            ),
            pack(own),
            forget_before(own),
            self._history_ttl,
            self._snapshot_ttl,
        )


def _history_key(tenant_id: TenantId, entity: Entity, identity: str) -> str:
    # 128 bits of a hash: keys are short whatever a sender sends, and name nobody.
    digest = blake2b(identity.encode("utf-8", "surrogatepass"), digest_size=16, person=entity.encode()).hexdigest()
    return f"fraud:{{{tenant_id}}}:{LAYOUT}:{entity}:{digest}"


def _is_missing_function(error: ResponseError) -> bool:
    return isinstance(error, NoScriptError) or "Function not found" in str(error)
