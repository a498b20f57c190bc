"""Subjects' records in Valkey, keys wrapped: ``vault:{tenant}:{erasure mark}:`` and the blind index → epoch, wrapped key, subject id.

An erasure raises the mark, so nobody looks for the older entries again; they go by their time to live. Without an answer the
cache is empty: every subject is then read from the database, which the counter shows.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Sequence
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.ports import SubjectRecord
from weir_common.privacy.wrapping_key import WRAPPED_BYTES
from weir_common.telemetry import meter

log = structlog.get_logger(__name__)

_HEAD: Final = struct.Struct(f">I{WRAPPED_BYTES}s")
# A script, since one command of many keys costs the client a fifth of as many commands in a pipeline.
_PUT: Final = """
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1])
end
"""


class ValkeyWrappedKeys:
    """See `WrappedKeyCache`. One round trip a call, each with a deadline."""

    def __init__(self, client: Redis, *, ttl_seconds: int = 600, timeout_seconds: float = 0.25) -> None:
        self._client = client
        self._put = client.register_script(_PUT)
        self._ttl_seconds = ttl_seconds
        self._timeout_seconds = timeout_seconds
        self._faults = meter().create_counter(
            "weir.vault.cache.failures",
            unit="{call}",
            description="Reads or writes of cached vault records that failed",
        )

    async def get(
        self, tenant_id: TenantId, erasure_mark: int, blind_indexes: Sequence[bytes]
    ) -> Sequence[SubjectRecord]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                values = await self._client.mget([_key(tenant_id, erasure_mark, index) for index in blind_indexes])
        except (RedisError, TimeoutError, OSError) as error:
            self._failed("get", error)
            return []
        found = zip(blind_indexes, values, strict=True)
        return [_parse(index, value) for index, value in found if isinstance(value, bytes)]

    async def put(self, tenant_id: TenantId, erasure_mark: int, records: Iterable[SubjectRecord]) -> None:
        values = {_key(tenant_id, erasure_mark, record.blind_index): _format(record) for record in records}
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._put(keys=list(values), args=[self._ttl_seconds, *values.values()])
        except (RedisError, TimeoutError, OSError) as error:
            self._failed("put", error)

    def _failed(self, operation: str, error: Exception) -> None:
        self._faults.add(1, {"weir.operation": operation})
        log.warning("the vault's cache does not answer", operation=operation, error=type(error).__name__)


def _key(tenant_id: TenantId, erasure_mark: int, blind_index: bytes) -> bytes:
    return f"vault:{tenant_id}:{erasure_mark}:".encode() + blind_index


def _format(record: SubjectRecord) -> bytes:
    return _HEAD.pack(record.epoch, record.wrapped_key) + record.subject_id.encode()


def _parse(blind_index: bytes, value: bytes) -> SubjectRecord:
    epoch, wrapped = _HEAD.unpack_from(value)
    return SubjectRecord(blind_index, SubjectId(value[_HEAD.size :].decode()), epoch, wrapped)
