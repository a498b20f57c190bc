"""Composition root of tenant-admin: the only place that constructs clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from weir_common.audit import AuditTrail
from weir_common.auth import Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.errors import StopError
from weir_common.http import create_app
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.outbox import OutboxRelay
from weir_common.postgres import postgres_pool
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service

from weir_tenant_admin.adapters.postgres_tenants import SCHEMA, PostgresTenantStore
from weir_tenant_admin.adapters.token_signer import Ed25519TokenSigner
from weir_tenant_admin.bootstrap_operator import bootstrap_operator
from weir_tenant_admin.create_tenant import TenantCreation
from weir_tenant_admin.entrypoints import http_auth, http_tenants
from weir_tenant_admin.entrypoints.documentation import document_types
from weir_tenant_admin.exchange_key import KeyExchange
from weir_tenant_admin.issue_key import KeyIssue
from weir_tenant_admin.mint_person_token import PersonTokenMint
from weir_tenant_admin.revoke_key import KeyRevocation
from weir_tenant_admin.settings import Settings

SERVICE = "tenant-admin"


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
        document_types(app, [*http_tenants.TYPES, *http_auth.TYPES])

        yield Service(
            name=SERVICE,
            readiness=readiness,
            http=app,
            background=[
                BackgroundTask("credentials", directory.run),
                BackgroundTask("outbox", outbox.run),
                BackgroundTask("request meter", meter.run),
            ],
        )


def _read_secret(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StopError(f"the bootstrap key at {path} cannot be read: {error}") from error
