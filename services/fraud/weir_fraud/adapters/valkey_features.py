"""The online histories in Valkey: one function call a payment, one round trip a batch."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError, ResponseError
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_fraud.adapters.aggregate_kernel import Kernel
from weir_fraud.adapters.lua_program import ENTITIES, PROGRAM
from weir_fraud.domain.aggregate import DAY_SECONDS, RETENTION_SECONDS, Aggregate, Entity
from weir_fraud.domain.history import Snapshot, forget_before
from weir_fraud.domain.payment import (
    Known,
    Observation,
    Observed,
    Payment,
    digests_of,
    entity_digest,
    observation_of,
    pack,
)
from weir_fraud.errors import FeatureStoreUnavailable
from weir_fraud.let_others import let_others
from weir_fraud.ports import Unobserved
from weir_fraud.read_ahead import read_ahead

log = structlog.get_logger(__name__)

_Answer = TypeVar("_Answer")
_Call = tuple[int, list[Any]]
"""How many keys, and they and the arguments."""
_Ready = tuple[list[bytes], list[_Call]]
"""Packed payments and the calls that take them."""
_Histories = list[bytes | None]
"""What a call answers: one a payment and entity."""

LAYOUT: Final = "v2"
"""Of `pack`; another layout has other keys."""
_OBSERVED: Final = 20
"""Payments of one call: half a millisecond, in which the server answers nobody else. The calls of a batch go together."""
_REPLAYED: Final = 200
"""Payments of a replay that are with Valkey at once, and that are made ready meanwhile."""
_ANSWERS_A_STEP: Final = 16
"""After so many payments of a batch, a millisecond, the others of the loop have their turn."""
_LABELLED: Final = struct.Struct("<q6s")
_REACHES: Final = struct.Struct(f"<{len(ENTITIES)}q")


class ValkeyFeatures:
    """Histories of 38 days. Every key has a TTL, which is put off once a day, and so a day longer than what it is read for.

    All keys of a tenant carry the same hash tag, so that the function finds them on one node of a cluster.
    """

    def __init__(
        self,
        client: Redis,
        plan: Sequence[Aggregate],
        *,
        history_ttl_seconds: int = RETENTION_SECONDS + DAY_SECONDS,
    ) -> None:
        self._client = client
        self._kernel = Kernel(plan) if plan else None
        reaches = self._kernel.reaches if self._kernel is not None else (0,) * len(ENTITIES)
        self._asked_for = (history_ttl_seconds * 1000, int(bool(plan)), _REACHES.pack(*reaches))
        self._duration = meter().create_histogram(
            "weir.fraud.features.duration", unit="s", description="Update and read of the features, one round trip"
        )

    async def load(self) -> None:
        """Bring the functions to the server, where one of the same name has the same text, and compile the kernel."""
        if self._kernel is not None:
            await asyncio.to_thread(self._kernel.warm)
        try:
            await self._client.function_load(PROGRAM.source, replace=True)
        except RedisError as error:
            raise FeatureStoreUnavailable(f"Valkey does not take the feature functions: {error}") from error

    async def observe(self, payments: Sequence[Payment]) -> list[Snapshot]:
        started = time.perf_counter()
        answers = await self._observe([_arrival(payment, observation_of(payment)) for payment in payments])
        self._duration.record(time.perf_counter() - started)
        return answers

    async def replay(self, payments: Sequence[Payment], labels: Sequence[Known | None]) -> list[Snapshot]:
        """While Valkey has some of them the next are made ready, and those before are answered."""
        answers: list[Snapshot] = []
        ready = read_ahead(self._ready(payments, labels))
        async with aclosing(ready), aclosing(read_ahead(self._replies(ready))) as replies:
            async for packed, histories in replies:
                answers += await self._answers(packed, histories)
        return answers

    async def restore(self, tenant_id: TenantId, kept: Sequence[Unobserved]) -> None:
        await self._observe([_Arrival(tenant_id, one.digests, one.observation) for one in kept])

    async def label(self, tenant_id: TenantId, observed: Observed, known: Known) -> bool:
        at = _LABELLED.pack(observed.at, observed.id.to_bytes(6, "little"))
        prefixes = _prefixes(tenant_id)
        keys = [prefix + digest.hex() for prefix, digest in zip(prefixes, observed.digests, strict=True) if digest]
        arguments = (*keys, at, known.label, known.at.to_bytes(8, "little", signed=True))

        async def put() -> int:
            found: int = await self._client.fcall(PROGRAM.label, len(keys), *arguments)
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

    async def _observe(self, arrivals: Sequence[_Arrival]) -> list[Snapshot]:
        if not arrivals:
            return []
        packed, calls = self._calls(arrivals)
        return await self._answers(packed, await self._asked(lambda: self._called(calls)))

    async def _ready(self, payments: Sequence[Payment], labels: Sequence[Known | None]) -> AsyncIterator[_Ready]:
        for start in range(0, len(payments), _REPLAYED):
            part = slice(start, start + _REPLAYED)
            yield self._calls(
                [
                    _arrival(payment, _as_known(payment, one))
                    for payment, one in zip(payments[part], labels[part], strict=True)
                ]
            )

    async def _replies(self, ready: AsyncIterator[_Ready]) -> AsyncIterator[tuple[list[bytes], list[_Histories]]]:
        async for packed, calls in ready:
            yield packed, await self._asked(partial(self._called, calls))

    async def _answers(self, packed: Sequence[bytes], replies: Sequence[_Histories]) -> list[Snapshot]:
        kernel = self._kernel
        if kernel is None:
            return [()] * len(packed)
        histories = list(chain.from_iterable(replies))
        width = len(ENTITIES)
        answers: list[Snapshot] = []
        for place, own in enumerate(packed):
            if place % _ANSWERS_A_STEP == _ANSWERS_A_STEP - 1:
                await let_others()
            answers.append(kernel.answer(own, histories[place * width : (place + 1) * width]))
        return answers

    def _calls(self, arrivals: Sequence[_Arrival]) -> _Ready:
        packed = [pack(arrival.own) for arrival in arrivals]
        return packed, [self._call(arrivals[part], packed[part]) for part in _parts(arrivals)]

    async def _called(self, calls: Sequence[_Call]) -> list[_Histories]:
        if len(calls) == 1:
            keys, call = calls[0]
            return [await self._client.fcall(PROGRAM.observe, keys, *call)]
        async with self._client.pipeline(transaction=False) as pipeline:
            for keys, call in calls:
                pipeline.fcall(PROGRAM.observe, keys, *call)
            return list(await pipeline.execute())

    def _call(self, arrivals: Sequence[_Arrival], packed: Sequence[bytes]) -> _Call:
        """As few arguments as can be: the client packs each one in Python, and most payments lack some entities."""
        prefixes = _prefixes(arrivals[0].tenant_id)
        call: list[Any] = []
        who = bytearray()
        for arrival in arrivals:
            has, bit = 0, 1
            for prefix, digest in zip(prefixes, arrival.digests, strict=True):
                if digest:
                    call.append(prefix + digest.hex())
                    has |= bit
                bit <<= 1
            who.append(has)
        keys = len(call)
        forgets = [forget_before(arrival.own) for arrival in arrivals]
        call += [*self._asked_for, bytes(who), b"".join(packed), struct.pack(f"<{len(forgets)}q", *forgets)]
        return keys, call


class _Arrival(NamedTuple):
    """A payment that is to be observed."""

    tenant_id: TenantId
    digests: Sequence[bytes]
    own: Observation


def _as_known(payment: Payment, known: Known | None) -> Observation:
    own = observation_of(payment)
    return own if known is None else own._replace(label=known.label, label_at=known.at)


def _arrival(payment: Payment, own: Observation) -> _Arrival:
    return _Arrival(payment.tenant_id, digests_of(payment), own)


def _parts(arrivals: Sequence[_Arrival]) -> Iterator[slice]:
    """Neighbours of one tenant, so many as one call takes."""
    start = 0
    for place in range(1, len(arrivals) + 1):
        if place == len(arrivals) or place - start == _OBSERVED or arrivals[place].tenant_id != arrivals[start].tenant_id:  # fmt: skip
            yield slice(start, place)
            start = place


def _prefixes(tenant_id: TenantId) -> list[str]:
    """Of the keys of its histories, one an entity."""
    return [f"fraud:{{{tenant_id}}}:{LAYOUT}:{entity}:" for entity in ENTITIES]


def _is_missing_function(error: ResponseError) -> bool:
    return isinstance(error, NoScriptError) or "Function not found" in str(error)
