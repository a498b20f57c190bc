"""Receipts in Valkey: ``receipt:{tenant}:{event_id}`` → 36 bytes (`_PACKED`), with the window as time to live.

There are millions, so they are packed: version, refused consents (a bit each), partition, offset, µs since 1970 of the acceptance,
the 16 bytes of the subject id (zeros: none). Those of before are ``partition offset accepted_at`` as text, which begins with a
digit; they are read until they have expired.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError
from weir_common.consent import Consent
from weir_common.errors import RetryError
from weir_common.ids import EventId, TenantId
from weir_common.kafka.topics import EVENTS
from weir_common.privacy.vault import SUBJECT_BYTES, packed_subject, unpacked_subject

from weir_ingest.domain.receipt import KeptReceipt, Receipt, receipt_consent

_PACKED: Final = struct.Struct(f">BBHQQ{SUBJECT_BYTES}s")
_VERSION: Final = 1
_BITS: Final = {Consent.ANALYTICS: 1, Consent.TRACKING: 2, Consent.MARKETING: 4}
_NOBODY: Final = bytes(SUBJECT_BYTES)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

# A script, since one command of many keys costs the client a fifth of as many commands in a pipeline.
_SAVE = """
for i = 1, #KEYS do
  redis.call('SET', KEYS[i], ARGV[i + 1], 'EX', ARGV[1], 'NX')
end
"""


class ValkeyReceipts:
    """One round trip a batch, each with a deadline."""

    def __init__(self, client: Redis, *, ttl_seconds: int, timeout_seconds: float = 0.5) -> None:
        self._client = client
        self._save = client.register_script(_SAVE)
        self._ttl_seconds = ttl_seconds
        self._timeout_seconds = timeout_seconds

    async def find(self, tenant_id: TenantId, event_ids: Sequence[EventId]) -> Mapping[EventId, KeptReceipt]:
        """See ``ReceiptStore.find``."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                values = await self._client.mget([_key(tenant_id, event_id) for event_id in event_ids])
        except (RedisError, TimeoutError, OSError) as error:
            raise RetryError(f"Valkey did not answer: {error!r}") from error
        return {
            event_id: _parse(value)
            for event_id, value in zip(event_ids, values, strict=True)
            if isinstance(value, bytes)
        }

    async def save(self, tenant_id: TenantId, receipts: Mapping[EventId, KeptReceipt]) -> None:
        """See ``ReceiptStore.save``."""
        keys = [_key(tenant_id, event_id) for event_id in receipts]
        values = [_format(kept) for kept in receipts.values()]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._save(keys=keys, args=[self._ttl_seconds, *values])
        except (RedisError, TimeoutError, OSError) as error:
            raise RetryError(f"Valkey did not answer: {error!r}") from error


def _key(tenant_id: TenantId, event_id: EventId) -> str:
    return f"receipt:{tenant_id}:{event_id}"


def _format(kept: KeptReceipt) -> bytes:
    receipt = kept.receipt
    refused = 0 if receipt.consent is None else sum(_BITS[consent] for consent in receipt.consent.refused)
    subject = _NOBODY if kept.key_id is None else packed_subject(kept.key_id)
    return _PACKED.pack(_VERSION, refused, receipt.partition, receipt.offset, _micros(receipt.accepted_at), subject)


@lru_cache(maxsize=256)
def _micros(accepted_at: str) -> int:
    """Kept, since all events of a request are accepted at the same one."""
    return (datetime.fromisoformat(accepted_at) - _EPOCH) // _MICROSECOND


def _parse(value: bytes) -> KeptReceipt:
    if value[0] != _VERSION:
        partition_, offset_, accepted_at = value.decode().split(" ", 2)
        return KeptReceipt(Receipt(EVENTS, int(partition_), int(offset_), accepted_at))
    _, bits, partition, offset, micros, subject = _PACKED.unpack(value)
    accepted = (_EPOCH + micros * _MICROSECOND).isoformat(timespec="microseconds").replace("+00:00", "Z")
    consent = receipt_consent(frozenset(consent for consent, bit in _BITS.items() if bits & bit))
    return KeptReceipt(
        Receipt(EVENTS, partition, offset, accepted, consent),
        None if subject == _NOBODY else unpacked_subject(subject),
    )
