"""The composition root of fraud: the only place that makes clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from weir.fraud.v1 import fraud_pb2_grpc
from weir.privacy.v1 import subject_data_pb2_grpc
from weir_common.audit import AuditTrail
from weir_common.auth import Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.grpc import GrpcServer
from weir_common.http import create_app
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import EVENTS, ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.outbox import OutboxRelay
from weir_common.postgres import postgres_pool
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service
from weir_common.valkey import valkey_client

from weir_fraud.adapters.onnx_model import OnnxModel
from weir_fraud.adapters.postgres_decisions import SCHEMA, PostgresDecisions
from weir_fraud.adapters.valkey_histories import ValkeyHistories
from weir_fraud.entrypoints.consumer import ScoreStream
from weir_fraud.entrypoints.grpc import FraudServicer, FraudSubjectData
from weir_fraud.entrypoints.http import fraud_router
from weir_fraud.score_transaction import ScorePayments, ScoreTransaction
from weir_fraud.settings import FraudSettings

_DESCRIPTION = "Decides on payments in milliseconds and says exactly why."


@asynccontextmanager
async def build(settings: FraudSettings) -> AsyncIterator[Service]:
    """Everything fraud is made of; closed in reverse."""
    async with AsyncExitStack() as stack:
        model = await asyncio.to_thread(OnnxModel, settings.model_dir)
        await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_fraud")
        await ensure_topics(settings.kafka)
        pool = await stack.enter_async_context(postgres_pool(settings.postgres, "weir-fraud"))
        valkey = await stack.enter_async_context(valkey_client(settings.valkey))
        publisher = await stack.enter_async_context(kafka_publisher(settings.kafka, "weir-fraud"))
        directory = CredentialDirectory(settings.kafka)
        authenticator = Authenticator(directory, TokenVerifier(settings.auth))
        relay = OutboxRelay(pool, SCHEMA, publisher)
        decisions = PostgresDecisions(pool, relay.wake)
        score_payments = ScorePayments(ValkeyHistories(valkey), model)
        score = ScoreTransaction(
            score_payments,
            decisions,
            max_concurrent=settings.max_concurrent,
            deadline_seconds=settings.deadline_seconds,
        )
        consumer = Consumer(
            service="fraud",
            name="score",
            topics=[EVENTS],
            handler=ScoreStream(score_payments),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            wake_outbox=relay.wake,
        )
        readiness = Readiness()
        readiness.add("credentials", directory.health)
        readiness.add("consumer", consumer.health)
        meter = RequestMeter(publisher, "fraud")
        app = create_app(
            service="fraud",
            title="Weir fraud",
            description=_DESCRIPTION,
            readiness=readiness,
            authenticator=authenticator,
            audit=AuditTrail(publisher, "fraud"),
            meter=meter,
        )
        app.include_router(fraud_router(score, decisions, model))
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(fraud_pb2_grpc.add_FraudServiceServicer_to_server, FraudServicer(score, authenticator)),
                partial(subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server, FraudSubjectData(pool)),
            ],
            ["weir.fraud.v1.FraudService", "weir.privacy.v1.SubjectDataService"],
            readiness,
        )
        yield Service(
            name="fraud",
            readiness=readiness,
            http=app,
            grpc=server,
            background=(
                BackgroundTask("credentials", directory.run),
                BackgroundTask("score", consumer.run),
                BackgroundTask("outbox", relay.run),
                BackgroundTask("request counts", meter.run),
            ),
        )
