"""Payments for the tests of fraud, and the addresses of the running mesh."""

from __future__ import annotations

import math
import os
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import numpy as np
import pytest
from redis.asyncio import Redis
from weir_common.audit import PLATFORM, AuditEntry
from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.migrations import migrate
from weir_common.postgres import postgres_pool
from weir_common.valkey import valkey_client
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.adapters.onnx_model import REQUEST_ONLY, OnnxModel, load_model, load_request_only
from weir_fraud.domain.aggregate import Column
from weir_fraud.domain.catalogue import Catalogue, catalogue_of, load_catalogue
from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.model import ModelCard, Scored, Thresholds
from weir_fraud.domain.model_stage import Move
from weir_fraud.domain.payment import Payment, PaymentKind
from weir_fraud.errors import ModelRefused, Refusal
from weir_fraud.score_payments import ScorePayments
from weir_fraud.settings import FraudSettings, whole_pool
from weir_fraud.training.artifacts import write
from weir_fraud.training.data import Part
from weir_fraud.training.fit import fit
from weir_fraud.training.onnx_form import onnx_form

NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)

OF_ANY_REQUEST = frozenset(
    {
        "account_age_days",
        "amount",
        "billing_country_mismatch",
        "hour_of_day",
        "night",
        "shipping_country_mismatch",
        "weekend",
    }
)
"""Features of the request alone that the events of these tests tell."""

MakePayment = Callable[..., Payment]


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture
def tenant() -> TenantId:
    return TenantId(f"test-fraud-{uuid.uuid4().hex[:12]}")


@pytest.fixture
def make_payment(tenant: TenantId) -> MakePayment:
    """A payment at noon, or `after` seconds later; every member can be given."""

    def make(after: float = 0, amount: str | None = "10.00", **members: Any) -> Payment:
        at = members.pop("at", NOON + timedelta(seconds=after))
        values: dict[str, Any] = {
            "tenant_id": tenant,
            "event_id": EventId(str(uuid.uuid4())),
            "transaction_id": "order-1",
            "kind": PaymentKind.PURCHASE,
            "at": at,
            "received_at": at,
            "subject": SubjectId("ann"),
            "amount": None if amount is None else Decimal(amount),
            "currency": "EUR",
            "user_id": "ann",
            "device": "laptop",
            "payment_token": "visa-1",
            "country": "DE",
            "latitude": 52.52,
            "longitude": 13.405,
        }
        return Payment(**(values | members))

    return make


# ── the running mesh
# ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def mesh_environment() -> dict[str, str]:
    """The variables that the launcher gives to the service."""
    from weir_local.addresses import environment_of
    from weir_local.mesh import Mesh, default_cache_directory, default_state_directory

    mesh = Mesh.at(default_state_directory(os.environ, Path(__file__).parent), default_cache_directory(os.environ))
    return environment_of(mesh, "fraud")


@pytest.fixture(scope="session")
def mesh_settings(mesh_environment: dict[str, str]) -> FraudSettings:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in mesh_environment.items():
            patch.setenv(name, value)
        return FraudSettings()


@pytest.fixture
async def valkey(mesh_settings: FraudSettings) -> AsyncIterator[Redis]:
    async with valkey_client(mesh_settings.valkey) as client:
        yield client


@pytest.fixture
async def pool(mesh_settings: FraudSettings) -> AsyncIterator[asyncpg.Pool]:
    """The application role on the mesh's PostgreSQL, schema up to date."""
    await migrate(mesh_settings.postgres.owner_dsn.get_secret_value(), "fraud", "weir_fraud")
    async with postgres_pool(whole_pool(mesh_settings.postgres), "fraud-tests") as opened:
        yield opened


def as_many_as_are_served(catalogue: Catalogue) -> tuple[str, ...]:
    """Without what the events of these tests never tell, as the model that is served is without what the shops never tell (63 inputs)."""
    silent = {Column.ADDRESS, Column.NETWORK, Column.MERCHANT, Column.PRODUCT}
    names = []
    for name, feature in catalogue.features.items():
        asked = {aggregate.entity.value for aggregate in feature.aggregates}
        asked |= {aggregate.column.value for aggregate in feature.aggregates if aggregate.column and not aggregate.own}
        of_the_request = not feature.aggregates and name not in OF_ANY_REQUEST
        if not asked & {column.value for column in silent} and not of_the_request:
            names.append(name)
    return tuple(names)


# ── a small model, trained in a second
# ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def model_dir(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of every feature, on random numbers: many payments, old accounts: good; unknown values everywhere."""
    folder = _trained("test-model", catalogue, tmp_path_factory.mktemp("model"))
    of_request = catalogue_of(feature for feature in catalogue.features.values() if not feature.aggregates)
    return _trained("test-request-only", of_request, folder, REQUEST_ONLY)


@pytest.fixture(scope="session")
def model(model_dir: Path, catalogue: Catalogue) -> OnnxModel:
    return load_model(model_dir, catalogue)


@pytest.fixture(scope="session")
def stand_in(model_dir: Path, catalogue: Catalogue) -> OnnxModel:
    """The model for payments whose histories are away."""
    return load_request_only(model_dir, catalogue)


@pytest.fixture(scope="session")
def model_as_served(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    """As large as the one that is served, where it is timed."""
    chosen = catalogue_of(catalogue[name] for name in as_many_as_are_served(catalogue))
    folder = _trained("test-model-as-served", chosen, tmp_path_factory.mktemp("model-as-served"))
    return load_model(folder, catalogue)


def _trained(version: str, catalogue: Catalogue, folder: Path, prefix: str = "") -> Path:
    random = np.random.default_rng(3)
    names = catalogue.names()
    x = random.exponential(3, (4_000, len(names))).astype(np.float32)
    often = x[:, names.index("user_payment_count_1h")] if "user_payment_count_1h" in names else 3
    risk = often + x[:, names.index("amount")] - x[:, names.index("account_age_days")]
    y = (risk + random.normal(0, 2, len(x)) > 8).astype(np.int8)
    x[random.random(x.shape) < 0.1] = np.nan
    booster = fit(Part(x, y, (), ()), catalogue, seed=3)
    text, onnx_model = booster.model_to_string().encode(), onnx_form(booster)
    files = {"model.txt": text, "model.onnx": onnx_model}
    card = ModelCard(
        version=version,
        features=names,
        thresholds=Thresholds(review=0.3, decline=0.7),
        files={name: sha256(content).hexdigest() for name, content in files.items()},
        features_fingerprint=features_fingerprint(),
        key="test",
        training={},
        metrics={},
    )
    files["model.json"] = msgspec.json.encode(card)
    write(folder, {f"{prefix}{name}": content for name, content in files.items()})
    return folder


# ── models of one answer, for the registry
# ────────────────────────────────────────────────────────────────────────────────────────────────────


class SaysAlways:
    """A model that gives every payment the same score; `scored` counts them."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._score = float(card.training["says"])
        self.scored = 0

    @property
    def card(self) -> ModelCard:
        return self._card

    def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        self.scored += len(vectors)
        margin = math.log(self._score / (1 - self._score))
        return [Scored(self._score, margin, margin, (0.0,) * len(self._card.features)) for _ in vectors]


class Toys:
    """Cards and files of such models, and what opens them."""

    def card(self, version: str, says: float = 0.1) -> ModelCard:
        return ModelCard(
            version=version,
            features=("amount", "hour_of_day"),
            thresholds=Thresholds(review=0.3, decline=0.7),
            files={"model.txt": sha256(version.encode()).hexdigest()},
            features_fingerprint=features_fingerprint(),
            key="toy",
            training={"says": says},
            metrics={"test": {"auc": 0.9}},
        )

    def files(self, version: str, says: float = 0.1) -> dict[str, bytes]:
        return {"model.json": msgspec.json.encode(self.card(version, says)), "model.txt": version.encode()}

    def hashes(self, version: str, says: float = 0.1) -> dict[str, str]:
        return {name: sha256(content).hexdigest() for name, content in self.files(version, says).items()}

    def open(self, files: Mapping[str, bytes]) -> SaysAlways:
        """A score of 1 is one that no explanation holds for."""
        card = msgspec.json.decode(files["model.json"], type=ModelCard)
        if card.training["says"] == 1:
            raise ModelRefused("its explanations do not hold", Refusal.EXPLANATION)
        return SaysAlways(card)

    def audited(self, moves: Sequence[Move]) -> list[AuditEntry]:
        return [self.entry(f"{move.version}:{move.after}") for move in moves]

    def entry(self, ref: str) -> AuditEntry:
        return AuditEntry(
            tenant_id=PLATFORM, actor="op", actor_kind="person", action="x", object_ref=ref, outcome="success"
        )


@pytest.fixture(scope="session")
def toys() -> Toys:
    return Toys()


@pytest.fixture
def clock() -> Callable[[], datetime]:
    return lambda: NOON


@pytest.fixture
def features(catalogue: Catalogue) -> MemoryFeatures:
    return MemoryFeatures(catalogue.plan)


@pytest.fixture(scope="session")
def conditions(catalogue: Catalogue) -> CelConditions:
    return CelConditions(catalogue)


@pytest.fixture
def policies() -> MemoryPolicies:
    return MemoryPolicies()


@pytest.fixture
def in_force(policies: MemoryPolicies, conditions: CelConditions) -> ActivePolicies:
    """What is approved is in force at once."""
    return ActivePolicies(policies, conditions, max_age_seconds=0)


@pytest.fixture
def score_payments(
    features: MemoryFeatures,
    model: OnnxModel,
    catalogue: Catalogue,
    in_force: ActivePolicies,
    clock: Callable[[], datetime],
) -> ScorePayments:
    return ScorePayments(features, OneModel(model), catalogue, in_force, clock)
