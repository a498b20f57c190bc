"""Composition root of tenant-admin: the only place that constructs clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import aiohttp
import asyncpg
from temporalio.client import Client
from weir.admin.v1 import tenant_pb2_grpc
from weir.privacy.v1 import subject_data_pb2_grpc
from weir_common.audit import AuditTrail
from weir_common.auth import Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.errors import StopError
from weir_common.gateway_check import GatewayCheck
from weir_common.grpc import GrpcServer, grpc_channel
from weir_common.http import create_app
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import LEDGER, REQUESTS, ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.outbox import OutboxRelay
from weir_common.postgres import postgres_pool
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service
from weir_common.valkey import valkey_client

from weir_tenant_admin.adapters.kubernetes_cluster import KubernetesCluster
from weir_tenant_admin.adapters.postgres_ledger import PostgresLedger
from weir_tenant_admin.adapters.postgres_scale_plans import PostgresScalePlans
from weir_tenant_admin.adapters.postgres_service_levels import PostgresServiceLevels
from weir_tenant_admin.adapters.postgres_tenants import SCHEMA, PostgresTenantStore
from weir_tenant_admin.adapters.probes.platform import GatewayProbe, KubernetesProbe, TemporalProbe, TracesProbe
from weir_tenant_admin.adapters.probes.services import ServiceProbe
from weir_tenant_admin.adapters.probes.stores import KafkaProbe, PostgresProbe, ValkeyProbe
from weir_tenant_admin.adapters.temporal_client import TemporalScaleWorkflows, connect, temporal_runtime
from weir_tenant_admin.adapters.token_signer import Ed25519TokenSigner
from weir_tenant_admin.apply_scaling import ScaleApplication
from weir_tenant_admin.bootstrap_operator import bootstrap_operator
from weir_tenant_admin.check_health import HealthCheck, Probe
from weir_tenant_admin.create_tenant import TenantCreation
from weir_tenant_admin.domain.manifests import Manner
from weir_tenant_admin.entrypoints import (
    http_auth,
    http_health,
    http_ledger,
    http_scale,
    http_service_levels,
    http_tenants,
)
from weir_tenant_admin.entrypoints.documentation import document_types
from weir_tenant_admin.entrypoints.external_metrics import ExternalMetrics
from weir_tenant_admin.entrypoints.grpc import TenantAdminSubjectData, TenantServicer
from weir_tenant_admin.entrypoints.ledger_consumer import LedgerHandler
from weir_tenant_admin.entrypoints.requests_consumer import RequestCountsHandler
from weir_tenant_admin.entrypoints.scale_activities import ScaleActivities
from weir_tenant_admin.entrypoints.scale_worker import ScaleWorker
from weir_tenant_admin.exchange_key import KeyExchange
from weir_tenant_admin.forget_minutes import ForgetMinutes
from weir_tenant_admin.issue_key import KeyIssue
from weir_tenant_admin.lag_table import LagTable, unix_now
from weir_tenant_admin.mint_person_token import PersonTokenMint
from weir_tenant_admin.plan_scaling import ScalePlanning, ScalingTerms
from weir_tenant_admin.read_ledger import ReadLedger
from weir_tenant_admin.report_service_levels import ServiceLevelReport
from weir_tenant_admin.revoke_key import KeyRevocation
from weir_tenant_admin.settings import Settings
from weir_tenant_admin.watch_ledger import LedgerWatch

SERVICE = "tenant-admin"
_TASK_QUEUE = "tenant-admin"
_SERVICES = {
    "ingest": True,
    "fraud": True,
    "anomaly": False,
    "analytics": False,
    "compliance": False,
    "tenant-admin": False,
}
"""The services, and whether the mesh cannot serve without them."""


def utc_now() -> datetime:
    """The clock of the process."""
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[Service]:
    """The service, ready to be served; closes its clients in reverse order."""
    async with AsyncExitStack() as stack:
        signer = Ed25519TokenSigner.load(settings.signing_key_path, settings.auth.jwks_path)
        await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_tenant_admin")
        await ensure_topics(settings.kafka)
        pool = await stack.enter_async_context(postgres_pool(settings.postgres, SERVICE))
        publisher = await stack.enter_async_context(kafka_publisher(settings.kafka, SERVICE))

        directory = CredentialDirectory(settings.kafka)
        authenticator = Authenticator(directory, TokenVerifier(settings.auth))
        outbox = OutboxRelay(pool, SCHEMA, publisher)
        meter = RequestMeter(publisher, SERVICE)
        readiness = Readiness()
        readiness.add("credentials", directory.health)

        store = PostgresTenantStore(pool)
        if settings.bootstrap_key_path is not None:
            secret = await asyncio.to_thread(_read_secret, settings.bootstrap_key_path)
            await bootstrap_operator(secret, store, utc_now, outbox.wake)

        app = create_app(
            service=SERVICE,
            title="Weir tenant administration",
            description="Tenants, credentials, scaling, service levels and health.",
            readiness=readiness,
            authenticator=authenticator,
            audit=AuditTrail(publisher, SERVICE),
            meter=meter,
        )
        app.include_router(
            http_tenants.tenants_router(
                store=store,
                create=TenantCreation(store, utc_now, outbox.wake),
                issue=KeyIssue(store, utc_now, outbox.wake),
                revoke=KeyRevocation(store, utc_now, outbox.wake),
                mint=PersonTokenMint(store, signer, settings.auth, utc_now, outbox.wake),
            )
        )
        app.include_router(
            http_auth.auth_router(
                exchange=KeyExchange(store, signer, settings.auth, utc_now), jwks_path=settings.auth.jwks_path
            )
        )
        service_levels, books = PostgresServiceLevels(pool), PostgresLedger(pool)
        app.include_router(
            http_service_levels.service_levels_router(ServiceLevelReport(service_levels, books, utc_now), store)
        )
        forget = ForgetMinutes(
            lambda: [TenantId(tenant.tenant_id) for tenant in directory.tenants()], [service_levels, books], utc_now
        )
        read_ledger = ReadLedger(books, utc_now)
        watch = LedgerWatch(read_ledger)
        app.include_router(http_ledger.ledger_router(read_ledger, store))
        cluster = _cluster(settings)
        health = HealthCheck(await _probes(settings, stack, pool, cluster), settings.probes.deadline_seconds)
        app.include_router(http_health.health_router(health))
        lags = LagTable(settings.kafka)
        plans = PostgresScalePlans(pool)
        workflows, scaling = await _scaling(settings, plans, cluster, lags, outbox.wake)
        planning = ScalePlanning(
            store=store,
            plans=plans,
            measure=lags.measure,
            cluster=cluster,
            workflows=workflows,
            terms=ScalingTerms(
                settings.scaling.cost_per_replica_hour, timedelta(seconds=settings.scaling.plan_lifetime_seconds)
            ),
            clock=utc_now,
            wake_outbox=outbox.wake,
        )
        app.include_router(http_scale.scale_router(planning, plans))
        document_types(
            app,
            [
                *http_tenants.TYPES,
                *http_auth.TYPES,
                *http_service_levels.TYPES,
                *http_ledger.TYPES,
                *http_health.TYPES,
                *http_scale.TYPES,
            ],
        )
        requests = Consumer(
            service=SERVICE,
            name="requests",
            topics=[REQUESTS],
            handler=RequestCountsHandler(),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            max_wait_seconds=1.0,
            fetch_min_bytes=65_536,
        )
        readiness.add("request counts", requests.health)
        ledger = Consumer(
            service=SERVICE,
            name="ledger",
            topics=[LEDGER],
            handler=LedgerHandler(watch.touch),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            max_wait_seconds=1.0,
            fetch_min_bytes=65_536,
        )
        readiness.add("ledger", ledger.health)
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(tenant_pb2_grpc.add_TenantServiceServicer_to_server, TenantServicer(store, authenticator)),
                partial(subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, TenantAdminSubjectData()),
            ],
            ["weir.admin.v1.TenantService", "weir.privacy.v1.SubjectDataService"],
            readiness,
        )

        yield Service(
            name=SERVICE,
            readiness=readiness,
            http=GatewayCheck(app, authenticator),
            grpc=server,
            background=[
                BackgroundTask("request counts", requests.run),
                BackgroundTask("ledger", ledger.run),
                BackgroundTask("ledger watch", watch.run),
                BackgroundTask("end of old minutes", forget.run),
                BackgroundTask("progress", lags.run),
                BackgroundTask("credentials", directory.run),
                BackgroundTask("outbox", outbox.run),
                BackgroundTask("request meter", meter.run),
                *scaling,
            ],
        )


def _cluster(settings: Settings) -> KubernetesCluster | None:
    """None: there is no control plane here."""
    if settings.kubernetes.kubeconfig is None:
        return None
    manner = Manner(
        settings.kubernetes.image, settings.scaling.scale_down_window_seconds, settings.scaling.step_period_seconds
    )
    return KubernetesCluster(settings.kubernetes.kubeconfig, manner, settings.kubernetes.request_timeout_seconds)


async def _scaling(
    settings: Settings,
    plans: PostgresScalePlans,
    cluster: KubernetesCluster | None,
    lags: LagTable,
    wake_outbox: Callable[[], None],
) -> tuple[TemporalScaleWorkflows | None, list[BackgroundTask]]:
    """Where plans are applied, and the tasks of scaling: the metrics server if it has a port, the worker if there is a
    control plane to work on.
    """
    tasks: list[BackgroundTask] = []
    if settings.external_metrics.port is not None:
        tasks.append(BackgroundTask("external metrics", ExternalMetrics(settings.external_metrics, lags, unix_now).run))
    if cluster is None:
        return None, tasks
    runtime = temporal_runtime()
    client = await connect(settings.temporal, runtime=runtime, lazy=True)
    activities = ScaleActivities(ScaleApplication(plans, cluster, utc_now, wake_outbox))
    tasks.append(
        BackgroundTask("scale worker", ScaleWorker(settings.temporal, _TASK_QUEUE, activities.all(), runtime).run)
    )
    return TemporalScaleWorkflows(client, _TASK_QUEUE, settings.scaling.controller_wait_seconds), tasks


async def _probes(
    settings: Settings, stack: AsyncExitStack, pool: asyncpg.Pool, cluster: KubernetesCluster | None
) -> list[Probe]:
    """One probe a component, each with clients of its own."""
    valkey = await stack.enter_async_context(valkey_client(settings.valkey))
    http = await stack.enter_async_context(aiohttp.ClientSession())
    temporal = await Client.connect(settings.temporal.target, namespace=settings.temporal.namespace, lazy=True)
    probes: list[Probe] = [
        PostgresProbe(pool),
        KafkaProbe(settings.kafka),
        ValkeyProbe(valkey),
        TemporalProbe(temporal, settings.temporal.namespace),
        GatewayProbe(http, settings.probes.gateway_admin_url),
        TracesProbe(http, settings.probes.traces_url),
        KubernetesProbe(cluster),
    ]
    for name, essential in _SERVICES.items():
        attribute = name.replace("-", "_")
        target = (
            f"{settings.listen.host}:{settings.listen.grpc_port}"
            if name == SERVICE
            else getattr(settings.peers, attribute)
        )
        channel = await stack.enter_async_context(grpc_channel(target)) if target is not None else None
        probes.append(
            ServiceProbe(
                name,
                essential=essential,
                channel=channel,
                http=http,
                http_url=getattr(settings.probes.http, attribute),
            )
        )
    return probes


def _read_secret(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StopError(f"the bootstrap key at {path} cannot be read: {error}") from error
