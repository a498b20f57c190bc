"""The composition root of anomaly: the only place that makes clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from weir.anomaly.v1 import anomaly_pb2_grpc
from weir.ops.v1 import applied_pb2_grpc
from weir.privacy.v1 import subject_data_pb2_grpc
from weir_common.applied import AppliedServicer, StoredPositions
from weir_common.audit import AuditTrail
from weir_common.auth import Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.grpc import GrpcServer
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Consumer, Transaction
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import EVENTS, ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.outbox import OutboxRelay
from weir_common.postgres import postgres_pool
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service

from weir_anomaly.adapters.postgres_case_files import SCHEMA, PostgresCaseFiles, PostgresFindings, StateRows
from weir_anomaly.adapters.state_cache import StateCache
from weir_anomaly.apply_rules import ApplyRules
from weir_anomaly.domain.engine import Engine
from weir_anomaly.domain.registry import all_rules
from weir_anomaly.entrypoints.grpc import AnomalyServicer, AnomalySubjectData
from weir_anomaly.entrypoints.http import anomaly_router
from weir_anomaly.settings import AnomalySettings

SERVICE = "anomaly"
FETCH_BYTES = 1_048_576


@asynccontextmanager
async def build(settings: AnomalySettings) -> AsyncIterator[Service]:
    """Everything anomaly is made of; closed in reverse."""
    async with AsyncExitStack() as stack:
        await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_anomaly")
        await ensure_topics(settings.kafka)
        pool = await stack.enter_async_context(postgres_pool(settings.postgres, SERVICE))
        publisher = await stack.enter_async_context(kafka_publisher(settings.kafka, SERVICE))
        directory = CredentialDirectory(settings.kafka)
        authenticator = Authenticator(directory, TokenVerifier(settings.auth))
        meter = RequestMeter(publisher, SERVICE)
        relay = OutboxRelay(pool, SCHEMA, publisher)
        engine = Engine(all_rules())
        rows, cache = StateRows(tuple(engine.rules.values())), StateCache(settings.state_cache_entries)

        def case_files(transaction: Transaction, tenant_id: TenantId) -> PostgresCaseFiles:
            return PostgresCaseFiles(transaction, tenant_id, rows, cache)

        findings = PostgresFindings(pool)
        consumer = Consumer(
            service=SERVICE,
            name="rules",
            topics=[EVENTS],
            handler=ApplyRules(engine, case_files),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            max_records=settings.max_records,
            max_wait_seconds=settings.max_wait_seconds,
            # Rules look at the stream as a whole: a quarter of a second of it at a time costs a tenth of the transactions.
            fetch_min_bytes=FETCH_BYTES,
            on_assigned=cache.clear,
            wake_outbox=relay.wake,
        )
        readiness = Readiness()
        readiness.add("credentials", directory.health)
        readiness.add("rules", consumer.health)
        app = create_app(
            service=SERVICE,
            title="Weir anomaly",
            description="Rules over the event stream; findings with their evidence.",
            readiness=readiness,
            authenticator=authenticator,
            audit=AuditTrail(publisher, SERVICE),
            meter=meter,
        )
        app.include_router(anomaly_router(findings, engine))
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(
                    anomaly_pb2_grpc.add_AnomalyServiceServicer_to_server, AnomalyServicer(findings, authenticator)
                ),
                partial(
                    applied_pb2_grpc.add_AppliedServiceServicer_to_server,
                    AppliedServicer([StoredPositions(pool, SCHEMA, SERVICE)]),
                ),
                partial(subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, AnomalySubjectData(findings)),
            ],
            ["weir.anomaly.v1.AnomalyService", "weir.privacy.v1.SubjectDataService", "weir.ops.v1.AppliedService"],
            readiness,
        )
        yield Service(
            name=SERVICE,
            readiness=readiness,
            http=app,
            grpc=server,
            background=(
                BackgroundTask("credentials", directory.run),
                BackgroundTask("rules", consumer.run),
                BackgroundTask("outbox", relay.run),
                BackgroundTask("request counts", meter.run),
            ),
        )
