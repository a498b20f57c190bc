"""The composition root of fraud: the only place that makes clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial

import structlog
from weir.fraud.v1 import fraud_pb2_grpc
from weir.ops.v1 import applied_pb2_grpc
from weir.privacy.v1 import subject_data_pb2_grpc
from weir_common.api_docs import add_schemas
from weir_common.applied import AppliedServicer, StoredPositions
from weir_common.audit import AuditTrail
from weir_common.auth import Action, Authenticator, TokenVerifier
from weir_common.credentials import CredentialDirectory
from weir_common.direct_endpoint import DirectEndpoint, describe
from weir_common.events import event_components
from weir_common.grpc import GrpcServer
from weir_common.http import MAX_BODY_BYTES, create_app
from weir_common.ids import TenantId
from weir_common.kafka.consumer import Consumer
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.topics import EVENTS, LABELS, ensure_topics
from weir_common.metering import RequestMeter
from weir_common.migrations import migrate
from weir_common.outbox import OutboxRelay
from weir_common.postgres import postgres_pool
from weir_common.privacy.bootstrap import open_vault
from weir_common.readiness import Readiness
from weir_common.service import BackgroundTask, Service
from weir_common.valkey import valkey_client

from weir_fraud.active_halts import ActiveHalts
from weir_fraud.active_models import ActiveModels
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.object_files import open_object_files
from weir_fraud.adapters.onnx_model import REQUEST_ONLY, load_model, load_request_only, open_model, read_folder
from weir_fraud.adapters.past_model import open_past_model
from weir_fraud.adapters.postgres_backtests import PostgresBacktests
from weir_fraud.adapters.postgres_cases import PostgresCases
from weir_fraud.adapters.postgres_decisions import SCHEMA, PostgresDecisions
from weir_fraud.adapters.postgres_declines import PostgresDeclines
from weir_fraud.adapters.postgres_deferred import PostgresDeferred
from weir_fraud.adapters.postgres_drift import PostgresDrift
from weir_fraud.adapters.postgres_imports import PostgresImports
from weir_fraud.adapters.postgres_models import PostgresModels
from weir_fraud.adapters.postgres_policies import PostgresPolicies
from weir_fraud.adapters.postgres_tallies import PostgresTallies
from weir_fraud.adapters.postgres_unobserved import PostgresUnobserved
from weir_fraud.adapters.postgres_waiting_labels import PostgresWaitingLabels
from weir_fraud.adapters.registered_models import RegisteredModels
from weir_fraud.adapters.sealed_notes import SealedNotes
from weir_fraud.adapters.valkey_features import ValkeyFeatures
from weir_fraud.admission import Admission
from weir_fraud.ask_in_time import AskInTime
from weir_fraud.case_metrics import CaseMetrics
from weir_fraud.check_gate import CheckGate
from weir_fraud.compute_drift import ComputeDrift
from weir_fraud.decision_metrics import DecisionMetrics
from weir_fraud.decline_metrics import DeclineMetrics
from weir_fraud.domain.catalogue import load_catalogue
from weir_fraud.domain.decision import Source
from weir_fraud.drift_metrics import DriftMetrics
from weir_fraud.entrypoints.events_consumer import ScoreEvents
from weir_fraud.entrypoints.grpc import FraudServicer, response_of
from weir_fraud.entrypoints.grpc_subject_data import FraudSubjectData
from weir_fraud.entrypoints.http import fraud_router
from weir_fraud.entrypoints.http_cases import CASE_SCHEMAS, cases_router
from weir_fraud.entrypoints.http_declines import DECLINE_SCHEMAS, declines_router
from weir_fraud.entrypoints.http_drift import drift_router
from weir_fraud.entrypoints.http_feedback import FEEDBACK_SCHEMAS, feedback_router
from weir_fraud.entrypoints.http_gate import GATE_SCHEMAS, gate_router
from weir_fraud.entrypoints.http_models import MODEL_SCHEMAS, models_router
from weir_fraud.entrypoints.http_policies import POLICY_SCHEMAS, policies_router
from weir_fraud.entrypoints.inference_endpoint import PATH, InferenceEndpoint, answer_of, inference_operation
from weir_fraud.entrypoints.labels_consumer import ApplyLabels
from weir_fraud.entrypoints.score_requests import ScoreRequests
from weir_fraud.errors import FeatureStoreUnavailable, ModelFilesUnavailable, ModelRefused
from weir_fraud.explain_later import ExplainLater
from weir_fraud.find_counterfactual import FindCounterfactual
from weir_fraud.forget_imports import ForgetImports
from weir_fraud.give_way import GiveWay
from weir_fraud.label_later import LabelLater
from weir_fraud.label_metrics import LabelMetrics
from weir_fraud.lift_halt import LiftHalt
from weir_fraud.load_models import LoadModel, PublishModel
from weir_fraud.manage_models import ManageModels
from weir_fraud.manage_policies import ManagePolicies
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.observe_later import ObserveLater
from weir_fraud.protect_lists import ProtectLists
from weir_fraud.record_labels import RecordLabels
from weir_fraud.rehearse import rehearsal
from weir_fraud.score_payments import ScorePayments, WithoutFeatures
from weir_fraud.score_shadow import ScoreShadow
from weir_fraud.score_transaction import ScoreTransaction
from weir_fraud.settings import FraudSettings, whole_pool
from weir_fraud.try_policy import TryPolicy
from weir_fraud.watch_declines import WatchDeclines
from weir_fraud.work_case import WorkCase

log = structlog.get_logger(__name__)

SERVICE = "fraud"
MAX_POLICY_BYTES = 4 * MAX_BODY_BYTES
"""Ten thousand entries, each with its reason."""


def now() -> datetime:
    """The clock of the service."""
    return datetime.now(UTC)


@asynccontextmanager
async def build(settings: FraudSettings) -> AsyncIterator[Service]:
    """Everything fraud is made of; closed in reverse."""
    async with AsyncExitStack() as stack:
        catalogue = load_catalogue()
        model = await asyncio.to_thread(load_model, settings.model_dir, catalogue)
        stand_in = await asyncio.to_thread(load_request_only, settings.model_dir, catalogue)
        model_files = await asyncio.to_thread(open_object_files, settings.models.store_uri)
        await migrate(settings.postgres.owner_dsn.get_secret_value(), SCHEMA, "weir_fraud")
        await ensure_topics(settings.kafka)
        pool = await stack.enter_async_context(
            postgres_pool(whole_pool(settings.postgres), SERVICE, ["fraud.decision"])
        )
        valkey = await stack.enter_async_context(valkey_client(settings.valkey))
        vault_settings = settings.vault.model_copy(
            update={
                "postgres": whole_pool(settings.vault.postgres),
                "deadline_seconds": min(settings.vault.deadline_seconds, settings.scoring.deadline_seconds),
            }
        )
        vault = await stack.enter_async_context(open_vault(vault_settings, SERVICE))
        publisher = await stack.enter_async_context(kafka_publisher(settings.kafka, SERVICE))
        directory = CredentialDirectory(settings.kafka)
        authenticator = Authenticator(directory, TokenVerifier(settings.auth))
        audit = AuditTrail(publisher, SERVICE)
        request_meter = RequestMeter(publisher, SERVICE)
        relay = OutboxRelay(pool, SCHEMA, publisher)

        features = ValkeyFeatures(valkey, catalogue.plan)
        # Into the same histories, without a question: imported payments of the past come by the thousand.
        past = ValkeyFeatures(valkey, ())
        try:
            await features.load()
            await past.load()
        except FeatureStoreUnavailable as error:
            # An instance that starts meanwhile answers without them, too; the functions are brought there when they are asked for.
            log.error("the histories do not answer", reason=str(error))
        decisions = PostgresDecisions(pool, catalogue, relay.wake)
        registry = PostgresModels(pool, relay.wake)
        own_files = await asyncio.to_thread(read_folder, settings.model_dir)
        stand_in_files = await asyncio.to_thread(read_folder, settings.model_dir, REQUEST_ONLY)
        try:
            await PublishModel(model_files, registry, now)(model.card, own_files)
            # After the other, which is the champion if there was none: it only waits there until one of its decisions is looked at again.
            await PublishModel(model_files, registry, now)(stand_in.card, stand_in_files)
        except (ModelFilesUnavailable, ModelRefused) as error:
            # They decide all the same, where no champion can be loaded; decisions name them.
            log.error("the models of this release were not registered", version=model.card.version, reason=str(error))
            await decisions.register(model.card)
            await decisions.register(stand_in.card)
        await decisions.rehearse(rehearsal(model, catalogue, now()))
        model_metrics = ModelMetrics()
        load_version = LoadModel(model_files, partial(open_model, catalogue=catalogue))
        models = ActiveModels(registry, load_version, model, model_metrics)
        await models.look()
        kept_models = RegisteredModels(
            ModelFolder(settings.model_dir, catalogue, model, stand_in),
            registry,
            # Of decisions of the past: what their features mean by now is of no matter, their values are kept.
            LoadModel(model_files, partial(open_past_model, catalogue=catalogue)),
        )
        cases = PostgresCases(pool, relay.wake)
        notes = SealedNotes(vault.vault, now, timeout_seconds=vault_settings.deadline_seconds)
        label_metrics = LabelMetrics()
        record_labels = RecordLabels(cases, label_metrics)
        work_case = WorkCase(cases, decisions, notes, record_labels, CaseMetrics(), now)
        conditions = CelConditions(catalogue)
        policies = PostgresPolicies(pool, relay.wake)
        manage_policies = ManagePolicies(policies, conditions, ProtectLists(vault.vault, vault.keys), audit, now)
        tallies = PostgresTallies(pool)
        shadow = ScoreShadow(
            lambda: models.shadow, tallies, catalogue, model_metrics, room=settings.models.shadow_queue
        )
        in_force = ActivePolicies(policies, conditions)
        without_features = WithoutFeatures(
            AskInTime(
                features,
                seconds=settings.scoring.features_deadline_seconds,
                seconds_a_payment=settings.scoring.features_deadline_seconds_a_payment,
                most_seconds=settings.scoring.most_seconds_for_features,
                failures=settings.scoring.features_failures,
                pause_seconds=settings.scoring.features_pause_seconds,
            ),
            stand_in,
            settings.scoring.least_without_features,
        )
        declines = PostgresDeclines(pool, relay.wake)
        decline_metrics = DeclineMetrics()
        halts = ActiveHalts(declines, decline_metrics)
        await halts.look()
        corridor = settings.declines.corridor
        watch_declines = WatchDeclines(declines, in_force, corridor, decline_metrics, now)
        metrics = DecisionMetrics(watch_declines.count)
        score_payments = ScorePayments(
            features, models, catalogue, in_force, now, shadow, without_features=without_features, halts=halts
        )
        observe_later = ObserveLater(PostgresUnobserved(pool), past, cases)
        label_later = LabelLater(PostgresWaitingLabels(pool), past, cases, label_metrics, now)
        imports = PostgresImports(pool)

        def tenants() -> list[TenantId]:
            return [TenantId(tenant.tenant_id) for tenant in directory.tenants()]

        score_transaction = ScoreTransaction(score_payments, decisions, metrics, settings.scoring)
        admission = Admission(settings.scoring)
        give_way = GiveWay(admission)

        of_all = (score_transaction, vault.protect, admission, now, metrics, settings.scoring)
        by_grpc = ScoreRequests(*of_all, Source.GRPC, response_of)
        by_http = ScoreRequests(*of_all, Source.HTTP, answer_of)
        explain_later = ExplainLater(
            PostgresDeferred(pool),
            decisions,
            kept_models,
            catalogue,
            lambda: score_transaction.is_at_ease and by_grpc.is_at_ease and by_http.is_at_ease,
        )
        consumer = Consumer(
            service=SERVICE,
            name="score",
            topics=[EVENTS],
            handler=ScoreEvents(score_payments, past, metrics, give_way),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            max_records=settings.stream.max_records,
            # Shoppers' own requests are answered between two batches.
            catch_up_growth=1,
            max_wait_seconds=settings.stream.max_wait_seconds,
            fetch_min_bytes=settings.stream.fetch_min_bytes,
            wake_outbox=relay.wake,
            step=give_way.step,
        )
        labels_consumer = Consumer(
            service=SERVICE,
            name="labels",
            topics=[LABELS],
            handler=ApplyLabels(features, label_metrics),
            pool=pool,
            schema=SCHEMA,
            kafka=settings.kafka,
            publisher=publisher,
            max_wait_seconds=1.0,
            fetch_min_bytes=65_536,
            # Two labels of one payment carry the same event id; one that comes again changes nothing.
            deduplicate=False,
        )
        readiness = Readiness()
        readiness.add("credentials", directory.health)
        # Without Valkey, or behind on the stream, it still answers who waits: taken out of service it would answer nobody.
        readiness.add("features", features.health, serves_without=True)
        readiness.add("score", consumer.health, serves_without=True)
        readiness.add("labels", labels_consumer.health, serves_without=True)
        readiness.add("models", models.health)
        readiness.add("halts", halts.health)
        app = create_app(
            service=SERVICE,
            title="Weir fraud",
            description="Decides on payments while the customer waits, and says exactly why.",
            readiness=readiness,
            authenticator=authenticator,
            audit=audit,
            meter=request_meter,
            max_body_bytes=MAX_POLICY_BYTES,
        )
        app.include_router(fraud_router(decisions, FindCounterfactual(kept_models)))
        backtests = PostgresBacktests(pool, relay.wake)
        check_gate = CheckGate(
            registry, tallies, backtests, settings.gate.bounds, settings.gate.reviews_per_day_of_tenant, now
        )
        manage_models = ManageModels(registry, load_version, model_metrics, now, check_gate)
        app.include_router(gate_router(registry, backtests, check_gate, now))
        drift_store = PostgresDrift(pool)
        app.include_router(drift_router(registry, drift_store))
        drift = ComputeDrift(
            drift_store,
            models,
            tenants,
            DriftMetrics(),
            settings.drift.limits,
            now,
        )
        add_schemas(app, GATE_SCHEMAS)
        app.include_router(models_router(models, registry, model_files, tallies, manage_models, catalogue, now))
        app.include_router(feedback_router(record_labels, cases, decisions, label_metrics, now))
        app.include_router(cases_router(cases, cases, decisions, notes, work_case))
        add_schemas(app, FEEDBACK_SCHEMAS | CASE_SCHEMAS | MODEL_SCHEMAS)
        app.include_router(policies_router(policies, manage_policies, TryPolicy(decisions, conditions, now)))
        add_schemas(app, POLICY_SCHEMAS)
        app.include_router(declines_router(declines, in_force, corridor, LiftHalt(declines, now), now))
        add_schemas(app, DECLINE_SCHEMAS)
        describe(app, "POST", PATH, inference_operation(), schemas=event_components())
        inference = DirectEndpoint(
            app,
            InferenceEndpoint(by_http),
            method="POST",
            path=PATH,
            action=Action.FRAUD_SCORE,
            authenticator=authenticator,
            audit=audit,
            meter=request_meter,
            max_body_bytes=MAX_BODY_BYTES,
            operators=True,
        )
        server = GrpcServer(
            settings.listen.host,
            settings.listen.grpc_port,
            [
                partial(
                    fraud_pb2_grpc.add_FraudServiceServicer_to_server,
                    FraudServicer(by_grpc, score_transaction, authenticator, audit, now, vault.protect),
                ),
                partial(
                    applied_pb2_grpc.add_AppliedServiceServicer_to_server,
                    AppliedServicer([StoredPositions(pool, SCHEMA, SERVICE)]),
                ),
                partial(
                    subject_data_pb2_grpc.add_SubjectDataServiceServicer_to_server,
                    FraudSubjectData(decisions, features, policies, cases, cases, notes, imports),
                ),
            ],
            ["weir.fraud.v1.FraudService", "weir.privacy.v1.SubjectDataService", "weir.ops.v1.AppliedService"],
            readiness,
        )
        yield Service(
            name=SERVICE,
            readiness=readiness,
            http=inference,
            grpc=server,
            background=(
                BackgroundTask("credentials", directory.run),
                BackgroundTask("score", consumer.run),
                BackgroundTask("labels", labels_consumer.run),
                BackgroundTask("outbox", relay.run),
                BackgroundTask("models", models.run),
                BackgroundTask("shadow", shadow.run),
                BackgroundTask("observe later", observe_later.run),
                BackgroundTask("label later", label_later.run),
                BackgroundTask("forget imports", ForgetImports(imports, tenants, now).run),
                BackgroundTask("explain later", explain_later.run),
                BackgroundTask("declines", watch_declines.run),
                BackgroundTask("halts", halts.run),
                BackgroundTask("drift", drift.run),
                BackgroundTask("request counts", request_meter.run),
            ),
        )
