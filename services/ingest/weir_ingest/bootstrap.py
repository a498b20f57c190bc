"""The composition root of ingest: the only place that makes clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

from weir.ingest.v1 import ingest_pb2_grpc
from weir.privacy.v1 import subject_data_pb2_grpc
from weir_common.api_docs import add_schemas
from weir_common.applied import PeerPositions
from weir_common.audit import AuditTrail
from weir_common.auth import Action, Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.direct_endpoint import DirectEndpoint, describe
from weir_common.gateway_check import GatewayCheck
from weir_common.grpc import GrpcServer, grpc_channel
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import REFUSED, ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_common.privacy.bootstrap import open_vault
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service
from weir_common.valkey import valkey_client

from weir_ingest.accept_batch import AcceptBatch
from weir_ingest.adapters.postgres_drift import PostgresDrift
from weir_ingest.adapters.postgres_quarantine import SCHEMA, PostgresQuarantine, PostgresRefusedWriter
from weir_ingest.adapters.quarantine_seal import QuarantineSeal, root_key
from weir_ingest.adapters.valkey_answers import ValkeyAnswers
from weir_ingest.adapters.valkey_quotas import ValkeyQuotas
from weir_ingest.adapters.valkey_receipts import ValkeyReceipts
from weir_ingest.admit_request import AdmitRequest
from weir_ingest.drift_book import DriftBook
from weir_ingest.entrypoints.events_endpoint import PATH, EventsEndpoint
from weir_ingest.entrypoints.events_openapi import BATCH_SCHEMAS, batch_operation
from weir_ingest.entrypoints.grpc import IngestServicer, IngestSubjectData
from weir_ingest.entrypoints.http import ingest_router
from weir_ingest.entrypoints.http_quarantine import QUARANTINE_SCHEMAS, quarantine_router
from weir_ingest.forget_refused import ForgetRefused
from weir_ingest.give_way import GiveWay
from weir_ingest.grant_quota import GrantQuota, quotas_by_plan
from weir_ingest.keep_refused import KeepRefused, QuarantineRoom
from weir_ingest.ledger_book import LedgerBook
from weir_ingest.mend_refused import MendRefused
from weir_ingest.read_receipt import ReadReceipt
from weir_ingest.settings import IngestSettings
from weir_ingest.store_refused import StoreRefused
from weir_ingest.tenant_turns import TenantTurns

SERVICE = "ingest"

_DESCRIPTION = "The front door of Weir: validates events, gives each its own result, and keeps what it accepted."


@asynccontextmanager
async def build(settings: IngestSettings) -> AsyncIterator[Service]:
    """Everything ingest is made of; closed in reverse."""
    async with AsyncExitStack() as stack:
        await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_ingest")
        await ensure_topics(settings.kafka)
        pool = await stack.enter_async_context(postgres_pool(settings.postgres, SERVICE))
        valkey = await stack.enter_async_context(valkey_client(settings.valkey))
        vault = await stack.enter_async_context(open_vault(settings.vault, SERVICE))
        event_log = await stack.enter_async_context(kafka_publisher(settings.kafka, "weir-ingest"))
        # Audit and counts have a producer of their own, so that a flood of events does not delay them.
        side = await stack.enter_async_context(kafka_publisher(settings.kafka, "weir-ingest-side"))
        directory = CredentialDirectory(settings.kafka)
        authenticator = Authenticator(directory, TokenVerifier(settings.auth))
        readiness = Readiness()
        # Valkey is no part of it: without receipts repeats are dropped downstream, and events are still accepted.
        # Nor is PostgreSQL: the log keeps refusals until it is back. Without the vault nothing is accepted, here or elsewhere.
        readiness.add("credentials", directory.health)

        asked = {
            "fraud": settings.peers.fraud,
            "anomaly": settings.peers.anomaly,
            "analytics": settings.peers.analytics,
        }
        channels = {
            peer: await stack.enter_async_context(grpc_channel(target)) for peer, target in asked.items() if target
        }
        receipts = ValkeyReceipts(valkey, ttl_seconds=settings.receipts.ttl_seconds)
        book = LedgerBook(side)
        seal = QuarantineSeal(root_key(settings.privacy.root_key_path))
        store = PostgresQuarantine(pool)
        room = QuarantineRoom(store, settings.quarantine)
        drifts = PostgresDrift(pool)
        drift_book = DriftBook(drifts)
        keep = KeepRefused(side, seal, room, settings.quarantine)
        quota_of = quotas_by_plan(directory.tenant)
        give_way = GiveWay(lambda tenant_id: quota_of(tenant_id).events_per_second)
        accept = AcceptBatch(event_log, vault.protect, receipts, book, keep, drift_book, settings.limits, give_way)
        retention = timedelta(seconds=settings.quarantine.retention_seconds)
        consumer = Consumer(
            service=SERVICE,
            name="quarantine",
            topics=[REFUSED],
            handler=StoreRefused(lambda transaction: PostgresRefusedWriter(transaction, retention=retention)),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=side,
            max_wait_seconds=1.0,
        )
        forget = ForgetRefused(store, lambda: [TenantId(tenant.tenant_id) for tenant in directory.tenants()])
        quota = GrantQuota(ValkeyQuotas(valkey), quota_of)
        turns = TenantTurns(settings.limits)
        meter, audit = RequestMeter(side, SERVICE), AuditTrail(side, SERVICE)
        app = create_app(
            service=SERVICE,
            title="Weir ingest",
            description=_DESCRIPTION,
            readiness=readiness,
            authenticator=authenticator,
            audit=audit,
            meter=meter,
            max_body_bytes=settings.limits.max_body_bytes,
        )
        read_receipt = ReadReceipt(receipts, PeerPositions(channels), vault.vault)
        app.include_router(ingest_router(read_receipt, drifts))
        limit = settings.limits.max_event_bytes
        mend = MendRefused(store, seal, accept, max_event_bytes=limit)
        app.include_router(quarantine_router(store, seal, mend, max_event_bytes=limit))
        add_schemas(app, QUARANTINE_SCHEMAS)
        describe(app, "POST", PATH, batch_operation(), schemas=BATCH_SCHEMAS)
        answers = ValkeyAnswers(valkey, ttl_seconds=settings.idempotency.ttl_seconds)
        events = DirectEndpoint(
            app,
            EventsEndpoint(accept, quota, answers, audit, settings.limits),
            method="POST",
            path=PATH,
            action=Action.EVENTS_WRITE,
            authenticator=authenticator,
            audit=audit,
            meter=meter,
            max_body_bytes=settings.limits.max_body_bytes,
            admit=AdmitRequest(quota, turns, meter, method="POST", path=PATH),
        )
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(
                    ingest_pb2_grpc.add_IngestServiceServicer_to_server,
                    IngestServicer(accept, quota, turns, read_receipt, authenticator, audit, settings.limits),
                ),
                partial(subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, IngestSubjectData(store, seal)),
            ],
            ["weir.ingest.v1.IngestService", "weir.privacy.v1.SubjectDataService"],
            readiness,
        )
        yield Service(
            name=SERVICE,
            readiness=readiness,
            http=GatewayCheck(events, authenticator),
            grpc=server,
            background=(
                BackgroundTask("credentials", directory.run),
                BackgroundTask("request counts", meter.run),
                BackgroundTask("ledger", book.run),
                BackgroundTask("drift", drift_book.run),
                BackgroundTask("quarantine", consumer.run),
                BackgroundTask("room in the quarantine", room.run),
                BackgroundTask("end of the quarantine", forget.run),
            ),
        )
