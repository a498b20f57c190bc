"""The online histories in Valkey: one function call a payment, one round trip a batch."""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_fraud.adapters.lua_program import ENTITIES, lua_program
from weir_fraud.domain.aggregate import DAY_SECONDS, RETENTION_SECONDS, Aggregate, Entity
from weir_fraud.domain.history import Snapshot, forget_before
from weir_fraud.domain.payment import (
    Known,
    Observed,
    Payment,
    entity_digest,
    observation_of,
    observed_of,
    pack,
)
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.ports import Unobserved

log = structlog.get_logger(__name__)

LAYOUT: Final = "v2"
"""Of `pack`; another layout has other keys."""
_REPLAYED: Final = 50
"""Payments of one call in a replay: a millisecond or two, in which the server answers nobody else."""
_Answer = TypeVar("_Answer")
_LABELLED: Final = struct.Struct("<q6s")


class ValkeyFeatures:
    """Histories of 38 days and snapshots of 15 minutes, the duplicate window of the consumers. Every key has a TTL.

    That of a history is put off once a day, and so a day longer than what it is read for.

    All keys of a tenant carry the same hash tag, so that the function finds them on one node of a cluster.
    """

    def __init__(
        self,
        client: Redis,
        plan: Sequence[Aggregate],
        *,
        history_ttl_seconds: int = RETENTION_SECONDS + DAY_SECONDS,
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
            raise FeatureStoreUnavailable(f"Valkey does not take the feature functions: {error}") from error

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        if not payments:
            return []
        started = time.perf_counter()
        calls = [self._call(payment) for payment in payments]
        answers = await self._asked(lambda: self._observe(calls))
        self._duration.record(time.perf_counter() - started)
        return [self._answer.unpack(answer) for answer in answers]

    async def replay(self, payments: Sequence[Payment], labels: Sequence[Known | None]) -> list[Snapshot]:
        if not payments:
            return []
        chunks = [
            self._replay_call(payments[start : start + _REPLAYED], labels[start : start + _REPLAYED])
            for start in range(0, len(payments), _REPLAYED)
        ]
        answers = await self._asked(lambda: self._replay(chunks))
        if not self._answer.size:
            return [()] * len(payments)
        return list(self._answer.iter_unpack(b"".join(answers)))

    async def restore(self, tenant_id: TenantId, kept: Sequence[Unobserved]) -> None:
        chunks = [
            self._restore_call(tenant_id, kept[start : start + _REPLAYED]) for start in range(0, len(kept), _REPLAYED)
        ]
        if chunks:
            await self._asked(lambda: self._replay(chunks))

    async def label(self, tenant_id: TenantId, observed: Observed, known: Known) -> bool:
        at = _LABELLED.pack(observed.at, observed.id.to_bytes(6, "little"))
        keys = [key for key in _history_keys(tenant_id, observed.digests) if key is not None]
        arguments = (*keys, at, known.label, known.at.to_bytes(8, "little", signed=True))

        async def put() -> int:
            found: int = await self._client.fcall(self._program.label, len(keys), *arguments)
            return found

        return bool(keys) and await self._asked(put) > 0

    async def history(self, tenant_id: TenantId, users: Sequence[str]) -> bytes:
        try:
            found: list[Any] = await self._client.mget(
                [
                    f"fraud:{{{tenant_id}}}:{LAYOUT}:{Entity.USER}:{entity_digest(Entity.USER, user).hex()}"
                    for user in users
                ]
            )
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

    async def _asked(self, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
        try:
            try:
                return await ask()
            except ResponseError as error:
                if not _is_missing_function(error):
                    raise
                # A server that was emptied or replaced: calls that did run before this one are no-ops when repeated.
                log.warning("the feature functions are gone from Valkey, loading them again")
                await self.load()
                return await ask()
        except (RedisError, OSError, TimeoutError) as error:
            raise FeatureStoreUnavailable(f"Valkey did not answer: {error!r}") from error

    async def _observe(self, calls: Sequence[tuple[Any, ...]]) -> list[bytes]:
        keys = 1 + len(ENTITIES)
        if len(calls) == 1:
            return [await self._client.fcall(self._program.observe, keys, *calls[0])]
        async with self._client.pipeline(transaction=False) as pipeline:
            for call in calls:
                pipeline.fcall(self._program.observe, keys, *call)
            return list(await pipeline.execute())

    async def _replay(self, chunks: Sequence[tuple[int, list[Any]]]) -> list[bytes]:
        async with self._client.pipeline(transaction=False) as pipeline:
            for keys, call in chunks:
                pipeline.fcall(self._program.replay, keys, *call)
            return list(await pipeline.execute())

    def _call(self, payment: Payment) -> tuple[Any, ...]:
        own = observation_of(payment)
        snapshot = f"fraud:{{{payment.tenant_id}}}:{self._program.name[-8:]}:{payment.event_id}"
        return (
            snapshot,
            *(key or snapshot for key in _history_keys(payment.tenant_id, observed_of(payment).digests)),
            pack(own),
            forget_before(own),
            self._history_ttl,
            self._snapshot_ttl,
        )

    def _replay_call(self, payments: Sequence[Payment], labels: Sequence[Known | None]) -> tuple[int, list[Any]]:
        keys: list[Any] = []
        arguments: list[Any] = [self._history_ttl]
        for payment, known in zip(payments, labels, strict=True):
            own = observation_of(payment)
            if known is not None:
                own = own._replace(label=known.label, label_at=known.at)
            nobody = f"fraud:{{{payment.tenant_id}}}:{LAYOUT}"
            keys += [key or nobody for key in _history_keys(payment.tenant_id, observed_of(payment).digests)]
            arguments += [pack(own), forget_before(own)]
        return len(keys), [*keys, *arguments]

    def _restore_call(self, tenant_id: TenantId, kept: Sequence[Unobserved]) -> tuple[int, list[Any]]:
        nobody = f"fraud:{{{tenant_id}}}:{LAYOUT}"
        keys = [key or nobody for one in kept for key in _history_keys(tenant_id, one.digests)]
        arguments: list[Any] = [self._history_ttl]
        for one in kept:
            arguments += [pack(one.observation), forget_before(one.observation)]
        return len(keys), [*keys, *arguments]


def _history_keys(tenant_id: TenantId, digests: Sequence[bytes]) -> list[str | None]:
    return [
        f"fraud:{{{tenant_id}}}:{LAYOUT}:{entity}:{digest.hex()}" if digest else None
        for entity, digest in zip(ENTITIES, digests, strict=True)
    ]


def _is_missing_function(error: ResponseError) -> bool:
    return isinstance(error, NoScriptError) or "Function not found" in str(error)
