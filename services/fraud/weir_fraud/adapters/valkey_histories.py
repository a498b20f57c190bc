"""Histories in Valkey: a sorted set an entity, updated and read by one script a payment; a batch is one round trip.

Keys: ``fraud:{tenant}:user:<id>`` (and device, card), 31 days after the last payment they are gone; ``fraud:{tenant}:seen:<event>``
holds what a payment saw, for a day, so that a repeat sees the same. Braces make a tenant one slot of a cluster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError
from weir_common.errors import RetryError

from weir_fraud.domain.history import ENTITIES, MAX_ENTRIES, RETENTION_SECONDS, Entry, Histories
from weir_fraud.domain.payment import Payment

_SEEN_SECONDS = 86_400
_KEY_SECONDS = RETENTION_SECONDS + 86_400

# KEYS: what was seen, then one key an entity that the payment has. ARGV: time, member, retention, entries, lives of the keys.
_SCRIPT = """
local seen = redis.call('GET', KEYS[1])
if seen then return cmsgpack.unpack(seen) end
local lists = {}
for i = 2, #KEYS do
  redis.call('ZADD', KEYS[i], ARGV[1], ARGV[2])
  local newest = redis.call('ZREVRANGE', KEYS[i], 0, 0, 'WITHSCORES')[2]
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', tonumber(newest) - tonumber(ARGV[3]))
  redis.call('ZREMRANGEBYRANK', KEYS[i], 0, -1 - tonumber(ARGV[4]))
  redis.call('EXPIRE', KEYS[i], ARGV[5])
  lists[i - 1] = redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', ARGV[1])
end
redis.call('SET', KEYS[1], cmsgpack.pack(lists), 'EX', ARGV[6])
return lists
"""

_decoder = msgspec.json.Decoder(Entry)


class ValkeyHistories:
    """See ``HistoryStore``."""

    def __init__(self, client: Redis, *, timeout_seconds: float = 0.5) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._script = client.register_script(_SCRIPT)

    async def observe(self, payments: Sequence[Payment]) -> list[Histories]:
        """See ``HistoryStore.observe``."""
        pipeline = self._client.pipeline(transaction=False)
        named: list[list[str]] = []
        for payment in payments:
            entities = [entity for entity in ENTITIES if getattr(payment, entity) is not None]
            named.append(entities)
            await self._script(
                keys=[
                    f"fraud:{{{payment.tenant_id}}}:seen:{payment.event_id}",
                    *(f"fraud:{{{payment.tenant_id}}}:{entity}:{getattr(payment, entity)}" for entity in entities),
                ],
                args=[
                    repr(payment.at),
                    msgspec.json.encode(entry_of(payment)),
                    RETENTION_SECONDS,
                    MAX_ENTRIES,
                    _KEY_SECONDS,
                    _SEEN_SECONDS,
                ],
                client=pipeline,
            )
        try:
            async with asyncio.timeout(self._timeout_seconds + 0.002 * len(payments)):
                answers = await pipeline.execute()
        except (RedisError, TimeoutError, OSError) as error:
            raise RetryError(f"Valkey did not answer: {error!r}") from error
        return [
            Histories(**{entity: _entries(members) for entity, members in zip(entities, lists, strict=True)})
            for entities, lists in zip(named, answers, strict=True)
        ]


def entry_of(payment: Payment) -> Entry:
    """How a payment is remembered."""
    return Entry(
        at=payment.at,
        event_id=payment.event_id,
        amount=float(payment.amount),
        declined=payment.declined,
        user=payment.user,
        device=payment.device,
        card=payment.card,
        country=payment.country,
        lat=payment.lat,
        lon=payment.lon,
    )


def _entries(members: list[bytes]) -> tuple[Entry, ...]:
    # Members of one instant come in the order of their text; ours is by event id.
    return tuple(sorted((_decoder.decode(member) for member in members), key=lambda entry: (entry.at, entry.event_id)))
