"""The composition root of analytics: the only place that makes clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial

from weir.analytics.v1 import analytics_pb2_grpc
from weir.ops.v1 import applied_pb2_grpc
from weir.privacy.v1 import subject_data_pb2_grpc
from weir_common.applied import AppliedServicer, StoredPositions
from weir_common.audit import AuditTrail
from weir_common.auth import Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.grpc import GrpcServer
from weir_common.http import create_app
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import DECISIONS, EVENTS, ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.outbox import OutboxRelay
from weir_common.postgres import postgres_pool
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service

from weir_analytics.adapters.iceberg_archive import (
    IcebergArchive,
    IcebergArchiveReader,
    open_catalogue,
    open_table,
    stored_offsets,
)
from weir_analytics.adapters.lake_positions import LakePositions
from weir_analytics.adapters.postgres_archive_entries import PostgresArchiveEntries
from weir_analytics.adapters.postgres_books import PostgresBooks
from weir_analytics.adapters.postgres_rollups import PostgresRollups
from weir_analytics.adapters.postgres_sessions import PostgresSessions
from weir_analytics.apply_events import ApplyEvents
from weir_analytics.archive_log import ArchiveLog, TimeOf, decision_time, event_time
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.enter_archived import EnterArchived
from weir_analytics.entrypoints.grpc import AnalyticsServicer
from weir_analytics.entrypoints.http import analytics_router
from weir_analytics.entrypoints.subject_data import AnalyticsSubjectData
from weir_analytics.export_subject import ExportSubject
from weir_analytics.read_dashboard import ReadDashboard
from weir_analytics.settings import AnalyticsSettings

SERVICE = "analytics"
SCHEMA = "analytics"


@asynccontextmanager
async def build(settings: AnalyticsSettings) -> AsyncIterator[Service]:
    """Everything analytics is made of; closed in reverse."""
    async with AsyncExitStack() as stack:
        await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_analytics")
        await ensure_topics(settings.kafka)
        pool = await stack.enter_async_context(postgres_pool(settings.postgres, SERVICE))
        publisher = await stack.enter_async_context(kafka_publisher(settings.kafka, SERVICE))
        directory = CredentialDirectory(settings.kafka)
        authenticator = Authenticator(directory, TokenVerifier(settings.auth))
        meter = RequestMeter(publisher, SERVICE)
        catalogue = load_catalogue()

        books = Consumer(
            service=SERVICE,
            name="books",
            topics=[EVENTS, DECISIONS],
            handler=ApplyEvents(catalogue, PostgresBooks),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            max_records=settings.consumer.max_records,
            max_wait_seconds=settings.consumer.max_wait_seconds,
            fetch_min_bytes=settings.consumer.fetch_min_bytes,
        )
        lake = await asyncio.to_thread(
            open_catalogue, settings.lake.catalog_dsn.get_secret_value(), settings.lake.warehouse_uri
        )
        topics: tuple[tuple[str, str, TimeOf], ...] = (
            (EVENTS, "events", event_time),
            (DECISIONS, "decisions", decision_time),
        )
        archives = []
        for topic, table, time_of in topics:
            archive = IcebergArchive(
                await asyncio.to_thread(open_table, lake, table),
                kept_snapshots=timedelta(seconds=settings.lake.kept_snapshots_seconds),
            )
            # The ledger is of what was accepted at the door: events, not decisions.
            entries = PostgresArchiveEntries(pool, SCHEMA, table) if topic == EVENTS else None
            archives.append(
                ArchiveLog(
                    topic=topic,
                    table=table,
                    archive=archive,
                    time_of=time_of,
                    kafka=settings.kafka,
                    commit_seconds=settings.lake.commit_seconds,
                    max_buffered_bytes=settings.lake.max_buffered_bytes,
                    enter=EnterArchived(f"{SERVICE}.lake.{table}", archive, entries) if entries is not None else None,
                )
            )
        readiness = Readiness()
        readiness.add("credentials", directory.health)
        readiness.add("books", books.health)
        for (_, table, _), archiving in zip(topics, archives, strict=True):
            readiness.add(f"lake {table}", archiving.health)

        read_dashboard = ReadDashboard(catalogue, PostgresRollups(pool, catalogue))
        app = create_app(
            service=SERVICE,
            title="Weir analytics",
            description="How the shop is doing: the metric catalogue, dashboards and the archive.",
            readiness=readiness,
            authenticator=authenticator,
            audit=AuditTrail(publisher, SERVICE),
            meter=meter,
        )
        app.include_router(analytics_router(read_dashboard, catalogue))
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(
                    analytics_pb2_grpc.add_AnalyticsServiceServicer_to_server,
                    AnalyticsServicer(read_dashboard, catalogue, authenticator),
                ),
                partial(
                    applied_pb2_grpc.add_AppliedServiceServicer_to_server,
                    AppliedServicer(
                        [
                            StoredPositions(pool, SCHEMA, SERVICE),
                            LakePositions("events", EVENTS, partial(stored_offsets, lake, "events")),
                        ]
                    ),
                ),
                partial(
                    subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server,
                    AnalyticsSubjectData(ExportSubject(IcebergArchiveReader(lake), PostgresSessions(pool))),
                ),
            ],
            ["weir.analytics.v1.AnalyticsService", "weir.privacy.v1.SubjectDataService", "weir.ops.v1.AppliedService"],
            readiness,
        )
        yield Service(
            name=SERVICE,
            readiness=readiness,
            http=app,
            grpc=server,
            background=(
                BackgroundTask("credentials", directory.run),
                BackgroundTask("request counts", meter.run),
                BackgroundTask("books", books.run),
                BackgroundTask("outbox", OutboxRelay(pool, SCHEMA, publisher).run),
                *(
                    BackgroundTask(f"lake {table}", archiving.run)
                    for (_, table, _), archiving in zip(topics, archives, strict=True)
                ),
            ),
        )
