"""Shared token buckets in Valkey: ``quota:{tenant}`` → events, bytes, when last filled, and the day's count."""

from __future__ import annotations

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError
from weir_common.errors import RetryError
from weir_common.ids import TenantId

from weir_ingest.domain.quota import Draw, Quota

# Time is the server's: instances' clocks may differ. Fractions are kept: a bucket of 3 a second gains less than one between two calls.
_DRAW = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local rate_e, rate_b, cap_e, cap_b = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local want_e, want_b, per_day = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local have = redis.call('HMGET', KEYS[1], 'e', 'b', 't', 'day', 'used')
local e, b, t = tonumber(have[1]) or cap_e, tonumber(have[2]) or cap_b, tonumber(have[3]) or ms
local passed = math.max(0, ms - t) / 1000
e, b = math.min(cap_e, e + passed * rate_e), math.min(cap_b, b + passed * rate_b)
local day = math.floor(now[1] / 86400)
local used = tonumber(have[4]) == day and tonumber(have[5]) or 0
local give_e = math.min(want_e, math.floor(math.max(0, e)))
if per_day >= 0 then give_e = math.min(give_e, math.max(0, per_day - used)) end
local give_b = math.min(want_b, math.floor(math.max(0, b)))
e, b, used = math.min(cap_e, e - give_e), math.min(cap_b, b - give_b), used + give_e
redis.call('HSET', KEYS[1], 'e', tostring(e), 'b', tostring(b), 't', ms, 'day', day, 'used', used)
redis.call('PEXPIRE', KEYS[1], 172800000)
local day_left = per_day >= 0 and math.max(0, per_day - used) or -1
return {give_e, give_b, math.floor(e), math.floor(b), day_left, 86400 - now[1] % 86400}
"""


class ValkeyQuotas:
    """One round trip a draw, with a deadline."""

    def __init__(self, client: Redis, *, timeout_seconds: float = 0.25) -> None:
        self._draw = client.register_script(_DRAW)
        self._timeout_seconds = timeout_seconds

    async def draw(self, tenant_id: TenantId, quota: Quota, events: int, bytes_: int) -> Draw:
        """See ``QuotaStore.draw``."""
        per_day = -1 if quota.events_per_day is None else quota.events_per_day
        rates = [quota.events_per_second, quota.bytes_per_second, quota.burst_events, quota.burst_bytes]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                given = await self._draw(keys=[f"quota:{tenant_id}"], args=[*rates, events, bytes_, per_day])
        except (RedisError, TimeoutError, OSError) as error:
            raise RetryError(f"Valkey did not answer: {error!r}") from error
        day_left = int(given[4])
        return Draw(
            events=int(given[0]),
            bytes=int(given[1]),
            events_left=int(given[2]),
            bytes_left=int(given[3]),
            day_left=None if day_left < 0 else day_left,
            seconds_to_midnight=int(given[5]),
        )
