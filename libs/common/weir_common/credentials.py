"""Credentials and tenants in memory, fed by the compacted topic ``weir.admin.tenants.v1``.

No request waits for a database: the map from key hash to tenant is local, and a revocation arrives within a second. After a
start the service is not ready before it has read the topic to its end.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from weir_common.ids import TenantId
from weir_common.kafka.closing import close_client
from weir_common.kafka.topics import TENANTS
from weir_common.settings import KafkaSettings

log = structlog.get_logger(__name__)

_MAX_BACKOFF_SECONDS = 5.0


class CredentialRecord(msgspec.Struct, frozen=True, tag_field="kind", tag="credential"):
    """One API key; record key ``key:<sha256 hex>``. ``tenant_id`` is None for the platform's operators."""

    key_hash: str
    key_id: str
    tenant_id: str | None
    roles: list[str]
    expires_at: float | None = None
    revoked: bool = False


class TenantRecord(msgspec.Struct, frozen=True, tag_field="kind", tag="tenant"):
    """One tenant; record key ``tenant:<id>``. Quotas are for all its keys together; None: the default, or no limit a day."""

    tenant_id: str
    name: str
    tier: str = "standard"
    vertical: str = "services"
    plan: str = "pool"
    status: str = "active"
    quota_events_per_second: float | None = None
    quota_bytes_per_second: float | None = None
    quota_events_per_day: int | None = None


_decoder = msgspec.json.Decoder(CredentialRecord | TenantRecord)


class CredentialDirectory:
    """The current credentials and tenants."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._credentials: dict[str, CredentialRecord] = {}
        self._tenants: dict[TenantId, TenantRecord] = {}
        self._caught_up = False

    def find(self, key_hash: str) -> CredentialRecord | None:
        """The key's record if it is valid now and its tenant (if any) is active."""
        record = self._credentials.get(key_hash)
        if record is None or record.revoked:
            return None
        if record.expires_at is not None and record.expires_at <= time.time():
            return None
        if record.tenant_id is not None:
            tenant = self._tenants.get(TenantId(record.tenant_id))
            if tenant is None or tenant.status != "active":
                return None
        return record

    def tenant(self, tenant_id: TenantId) -> TenantRecord | None:
        """The tenant, or None."""
        return self._tenants.get(tenant_id)

    def tenants(self) -> list[TenantRecord]:
        """All tenants, by id."""
        return [self._tenants[key] for key in sorted(self._tenants)]

    @property
    def caught_up(self) -> bool:
        """Whether the topic was read to its end; before that an unknown key may only not be read yet."""
        return self._caught_up

    async def health(self) -> str | None:
        """None once the topic was read to its end."""
        return None if self._caught_up else "credentials are still being read"

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the topic; an unreadable one is reported and leaves what is known as it is."""
        name = key.decode("utf-8", "replace")
        kind, _, identity = name.partition(":")
        if value is None:
            if kind == "key":
                self._credentials.pop(identity, None)
            elif kind == "tenant":
                self._tenants.pop(TenantId(identity), None)
            return
        try:
            record = _decoder.decode(value)
        except msgspec.DecodeError as error:
            log.error("unreadable record on the tenants topic", record_kind=kind, error=str(error))
            return
        if isinstance(record, CredentialRecord):
            self._credentials[record.key_hash] = record
        else:
            self._tenants[TenantId(record.tenant_id)] = record

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the topic until ``stop``; outages of Kafka are waited out, with what is known kept."""
        backoff = 0.1
        while not stop.is_set():
            try:
                await self._follow(stop)
                backoff = 0.1
            except (KafkaError, TimeoutError, OSError) as error:
                log.warning("tenants topic cannot be read, trying again", error=repr(error))
                try:
                    async with asyncio.timeout(backoff):
                        await stop.wait()
                except TimeoutError:
                    backoff = min(backoff * 2, _MAX_BACKOFF_SECONDS)

    async def _follow(self, stop: asyncio.Event) -> None:
        where = TopicPartition(TENANTS, 0)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # One partition: the broker answers as soon as there is anything, so a long wait delays nothing and asks less often.
            fetch_max_wait_ms=1_000,
            request_timeout_ms=int(self._kafka.request_timeout_seconds * 1000),
        )
        consumer.assign([where])
        try:
            async with asyncio.timeout(self._kafka.request_timeout_seconds * 2):
                await consumer.start()
                await consumer.seek_to_beginning(where)
                end = (await consumer.end_offsets([where]))[where]
            while not stop.is_set():
                async with asyncio.timeout(self._kafka.request_timeout_seconds):
                    fetched = await consumer.getmany(timeout_ms=500, max_records=5_000)
                    position = await consumer.position(where)
                for message in fetched.get(where, []):
                    self.apply(message.key or b"", message.value)
                if not self._caught_up and position >= end:
                    self._caught_up = True
                    log.info("credentials read", tenants=len(self._tenants), keys=len(self._credentials))
        finally:
            await close_client(consumer.stop, client="credentials")
