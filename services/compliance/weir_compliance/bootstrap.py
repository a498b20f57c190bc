"""Composition root of compliance: the only place that constructs clients."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from weir.compliance.v1 import compliance_pb2, compliance_pb2_grpc
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.audit import AuditTrail
from weir_common.auth import Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.errors import StopError
from weir_common.grpc import GrpcServer, grpc_channel
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import AUDIT, ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.outbox import OutboxRelay
from weir_common.postgres import postgres_pool
from weir_common.privacy.bootstrap import open_vault
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service

from weir_compliance.adapters.age_files import new_identity, recipient_of
from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.adapters.export_key import read_export_keys
from weir_compliance.adapters.payload_codec import sealing_converter
from weir_compliance.adapters.postgres_audit import PostgresAuditAppender, PostgresAuditLog
from weir_compliance.adapters.postgres_regimes import PostgresRegimes
from weir_compliance.adapters.postgres_requests import SCHEMA, PostgresSubjectRequests
from weir_compliance.adapters.subject_data_client import GrpcSubjectData
from weir_compliance.adapters.temporal_client import connect, temporal_runtime
from weir_compliance.adapters.temporal_workflows import TemporalRequestWorkflows
from weir_compliance.collect_store import CollectStore
from weir_compliance.entrypoints.activities import RequestActivities
from weir_compliance.entrypoints.audit_consumer import AppendAudit
from weir_compliance.entrypoints.documentation import document_types
from weir_compliance.entrypoints.export_body import ExportBody
from weir_compliance.entrypoints.grpc_compliance import GrpcCompliance
from weir_compliance.entrypoints.grpc_subject_data import ComplianceSubjectData
from weir_compliance.entrypoints.http_audit import audit_router
from weir_compliance.entrypoints.http_exports import exports_router
from weir_compliance.entrypoints.http_subjects import LookupBody, LookupDocument, subjects_router
from weir_compliance.entrypoints.status_document import SubjectRequestDocument
from weir_compliance.entrypoints.worker import RequestWorker
from weir_compliance.escalate_request import EscalateRequest
from weir_compliance.expire_export import ExpireExport
from weir_compliance.fetch_export import FetchExport
from weir_compliance.pack_archive import PackArchive
from weir_compliance.plan_request import PlanRequest
from weir_compliance.request_export import RequestExport
from weir_compliance.reveal_subject import RevealSubject
from weir_compliance.rotate_keys import RotateKeys
from weir_compliance.settings import Settings

SERVICE = "compliance"


def utc_now() -> datetime:
    """The clock of the process."""
    return datetime.now(UTC)


def stores_of(settings: Settings) -> dict[str, str]:
    """Every service that may hold data of a person, and where it answers. StopError if one has no address."""
    peers = settings.peers
    own = f"{settings.listen.host}:{settings.listen.grpc_port}"
    stores = {
        "ingest": peers.ingest,
        "fraud": peers.fraud,
        "anomaly": peers.anomaly,
        "analytics": peers.analytics,
        "tenant-admin": peers.tenant_admin,
        "compliance": peers.compliance or own,
    }
    addressed = {store: address for store, address in stores.items() if address}
    if len(addressed) < len(stores):
        absent = ", ".join(sorted(stores.keys() - addressed.keys()))
        raise StopError(
            f"no address for {absent} (WEIR_COMPLIANCE_PEERS__…): an export without them would be incomplete"
        )
    return addressed


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Service]:
    """The service, ready to be served; closes its clients in reverse order."""
    async with AsyncExitStack() as stack:
        keys = read_export_keys(settings.exports.key_path)
        stores = stores_of(settings)
        await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_compliance")
        await ensure_topics(settings.kafka)
        pool = await stack.enter_async_context(postgres_pool(settings.postgres, SERVICE))
        vault = await stack.enter_async_context(open_vault(settings.vault, SERVICE))
        publisher = await stack.enter_async_context(kafka_publisher(settings.kafka, SERVICE))
        channels = {store: await stack.enter_async_context(grpc_channel(target)) for store, target in stores.items()}
        converter = sealing_converter(keys)
        runtime = temporal_runtime()
        temporal = await connect(settings.temporal, converter, runtime=runtime, lazy=True)

        audit = AuditTrail(publisher, SERVICE)
        outbox = OutboxRelay(pool, SCHEMA, publisher)
        requests = PostgresSubjectRequests(pool, keys, settings.task_queue, outbox.wake)
        log = PostgresAuditLog(pool, keys)
        files = ExportFiles(settings.exports.dir)
        workflows = TemporalRequestWorkflows(pool, temporal, settings.task_queue)
        request_export = RequestExport(requests, PostgresRegimes(pool), workflows, utc_now)
        fetch = FetchExport(requests, audit, utc_now)
        activities = RequestActivities(
            plan=PlanRequest(requests, tuple(stores), new_identity),
            collect=CollectStore(
                requests,
                GrpcSubjectData(
                    channels,
                    timeout_seconds=settings.exports.store_timeout_seconds,
                    idle_seconds=settings.exports.store_idle_seconds,
                ),
                files,
                RevealSubject(vault.vault),
                recipient_of,
                utc_now,
            ),
            pack=PackArchive(requests, files, log, new_identity, utc_now, settings.exports.link_seconds),
            escalate=EscalateRequest(requests, utc_now),
            expire=ExpireExport(requests, files),
            exports=settings.exports,
        )

        directory = CredentialDirectory(settings.kafka)
        rotate_keys = RotateKeys(
            vault.rotate,
            partial(vault.rotate.destroy_old_tokens, periods_kept=settings.token_periods_kept),
            lambda: [TenantId(tenant.tenant_id) for tenant in directory.tenants()],
        )
        meter = RequestMeter(publisher, SERVICE)
        worker = RequestWorker(settings.temporal, converter, settings.task_queue, activities.all(), runtime)
        appender = Consumer(
            service=SERVICE,
            name="audit",
            topics=[AUDIT],
            handler=AppendAudit(PostgresAuditAppender(keys), utc_now),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            max_wait_seconds=1.0,
            wake_outbox=outbox.wake,
        )
        readiness = Readiness()
        readiness.add("credentials", directory.health)
        readiness.add("audit", appender.health)
        # Not Temporal itself: while it is away requests are still received, and started when it is back.
        readiness.add("worker", worker.health)

        app = create_app(
            service=SERVICE,
            title="Weir compliance",
            description="Requests about personal data, and the tamper-evident audit log.",
            readiness=readiness,
            authenticator=Authenticator(directory, TokenVerifier(settings.auth)),
            audit=audit,
            meter=meter,
        )
        app.include_router(
            exports_router(request_export=request_export, fetch=fetch, files=files, workflows=workflows, audit=audit)
        )
        app.include_router(audit_router(log, audit))
        app.include_router(subjects_router(vault.vault, vault.keys, audit))
        document_types(app, [ExportBody, SubjectRequestDocument, LookupBody, LookupDocument])
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(
                    compliance_pb2_grpc.add_ComplianceServiceServicer_to_server,
                    GrpcCompliance(request_export, fetch, log),
                ),
                partial(
                    subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, ComplianceSubjectData(requests)
                ),
            ],
            [
                compliance_pb2.DESCRIPTOR.services_by_name["ComplianceService"].full_name,
                subject_data_pb2.DESCRIPTOR.services_by_name["SubjectDataService"].full_name,
            ],
            readiness,
        )
        yield Service(
            name=SERVICE,
            readiness=readiness,
            http=app,
            grpc=server,
            background=[
                BackgroundTask("credentials", directory.run),
                BackgroundTask("outbox", outbox.run),
                BackgroundTask("request meter", meter.run),
                BackgroundTask("audit consumer", appender.run),
                BackgroundTask("workflow starter", workflows.run_starter),
                BackgroundTask("temporal worker", worker.run),
                BackgroundTask("rotation of keys", rotate_keys.run),
            ],
        )
