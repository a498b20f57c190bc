"""The composition root of ingest: the only place that makes clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from weir.ingest.v1 import ingest_pb2_grpc
from weir.privacy.v1 import subject_data_pb2_grpc
from weir_common.audit import AuditTrail
from weir_common.auth import Action, Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.direct_endpoint import DirectEndpoint, describe
from weir_common.gateway_check import GatewayCheck
from weir_common.grpc import GrpcServer
from weir_common.http import create_app
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import ensure_topics
from weir_common.metering import RequestMeter
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service
from weir_common.valkey import valkey_client

from weir_ingest.accept_batch import AcceptBatch
from weir_ingest.adapters.valkey_answers import ValkeyAnswers
from weir_ingest.adapters.valkey_quotas import ValkeyQuotas
from weir_ingest.adapters.valkey_receipts import ValkeyReceipts
from weir_ingest.entrypoints.events_endpoint import PATH, EventsEndpoint
from weir_ingest.entrypoints.events_openapi import BATCH_SCHEMAS, batch_operation
from weir_ingest.entrypoints.grpc import IngestServicer, IngestSubjectData
from weir_ingest.entrypoints.http import ingest_router
from weir_ingest.grant_quota import GrantQuota, quotas_by_plan
from weir_ingest.ledger_book import LedgerBook
from weir_ingest.settings import IngestSettings

_DESCRIPTION = "The front door of Weir: validates events, gives each its own result, and keeps what it accepted."


@asynccontextmanager
async def build(settings: IngestSettings) -> AsyncIterator[Service]:
    """Everything ingest is made of; closed in reverse."""
    async with AsyncExitStack() as stack:
        await ensure_topics(settings.kafka)
        valkey = await stack.enter_async_context(valkey_client(settings.valkey))
        event_log = await stack.enter_async_context(kafka_publisher(settings.kafka, "weir-ingest"))
        # Audit and counts have a producer of their own, so that a flood of events does not delay them.
        side = await stack.enter_async_context(kafka_publisher(settings.kafka, "weir-ingest-side"))
        directory = CredentialDirectory(settings.kafka)
        authenticator = Authenticator(directory, TokenVerifier(settings.auth))
        readiness = Readiness()
        # Valkey is no part of it: without receipts repeats are dropped downstream, and events are still accepted.
        readiness.add("credentials", directory.health)

        receipts = ValkeyReceipts(valkey, ttl_seconds=settings.receipts.ttl_seconds)
        book = LedgerBook(side)
        accept = AcceptBatch(event_log, receipts, book, settings.limits)
        quota = GrantQuota(ValkeyQuotas(valkey), quotas_by_plan(directory.tenant))
        meter, audit = RequestMeter(side, "ingest"), AuditTrail(side, "ingest")
        app = create_app(
            service="ingest",
            title="Weir ingest",
            description=_DESCRIPTION,
            readiness=readiness,
            authenticator=authenticator,
            audit=audit,
            meter=meter,
            max_body_bytes=settings.limits.max_body_bytes,
        )
        app.include_router(ingest_router(receipts))
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
        )
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(
                    ingest_pb2_grpc.add_IngestServiceServicer_to_server,
                    IngestServicer(accept, quota, receipts, authenticator, audit, settings.limits),
                ),
                partial(subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, IngestSubjectData()),
            ],
            ["weir.ingest.v1.IngestService", "weir.privacy.v1.SubjectDataService"],
            readiness,
        )
        yield Service(
            name="ingest",
            readiness=readiness,
            http=GatewayCheck(events, authenticator),
            grpc=server,
            background=(
                BackgroundTask("credentials", directory.run),
                BackgroundTask("request counts", meter.run),
                BackgroundTask("ledger", book.run),
            ),
        )
