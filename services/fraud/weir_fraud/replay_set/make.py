"""Make a replay set: payments of a fixed seed, decided by small models and by the use cases of the service.

One decision for each way in which one can come about; `MakeSet.decisions` lists them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID

import lightgbm
import msgspec
import numpy as np
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.memory_decisions import MemoryDecisions
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import OneModel
from weir_fraud.adapters.memory_policies import MemoryPolicies
from weir_fraud.adapters.onnx_model import CARD, OnnxModel, open_model
from weir_fraud.domain.catalogue import Catalogue, load_catalogue
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.fingerprint import features_fingerprint
from weir_fraud.domain.history import Snapshot
from weir_fraud.domain.model import ModelCard, Scored, Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import Payment, PaymentKind
from weir_fraud.domain.policy import EntityKind, Entry, Policy, Rule
from weir_fraud.domain.replay import canonical
from weir_fraud.explain_later import ExplainLater
from weir_fraud.ports import Model
from weir_fraud.replay_set.check import KeptModels, approve
from weir_fraud.replay_set.document import ONNX, TREES, ReplaySetDocument, kept, write
from weir_fraud.score_payments import ScorePayments, WithoutFeatures
from weir_fraud.training.artifacts import library_versions
from weir_fraud.training.fit import PARAMETERS, version_of
from weir_fraud.training.onnx_form import onnx_form

SEED: Final = 20_260_301
TENANT: Final = TenantId("merchant_12345")
NOON: Final = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
LATENCY: Final = timedelta(microseconds=4_321)
"""Of each decision: what a clock said would be another figure each time, and a replay does not measure it again."""

OF_THE_REQUEST: Final = ("account_age_days", "amount", "hour_of_day", "night", "shipping_country_mismatch")
OF_HISTORIES: Final = (
    "amount_to_user_mean_7d",
    "device_user_count_24h",
    "first_payment_from_country",
    "first_payment_from_device",
    "payment_token_user_count_30d",
    "seconds_since_last_payment",
    "user_decline_count_1h",
    "user_payment_count_1h",
    "user_payment_sum_24h",
)
FEATURES: Final = tuple(sorted((*OF_THE_REQUEST, *OF_HISTORIES)))
TREE_COUNT: Final = 8
_ROWS: Final = 3_000
_OF_MODELS: Final = Thresholds(review=0.3, decline=0.7)

_DENY: Final = (
    Entry(kind=EntityKind.DEVICE, protected=("phone-stolen", "phone-stolen-before"), reason="stolen"),
    Entry(kind=EntityKind.COUNTRY, protected=("KP",), reason="not served"),
)
_ALLOW: Final = (Entry(kind=EntityKind.USER, protected=("ursula",), reason="known for years"),)
_RULES: Final = (
    Rule(
        name="large-and-new",
        expression="has(features.user_payment_count_1h) && amount > 900.0 && !declined",
        action=Outcome.DECLINE,
        reason="Large amounts are paid by transfer",
    ),
    Rule(name="gift", expression="amount < 1.0", action=Outcome.APPROVE, reason="Vouchers"),
    Rule(
        name="careful-while-degraded",
        expression="'features_unavailable' in degraded && amount > 500.0",
        action=Outcome.DECLINE,
        reason="Nothing is known of the customer",
    ),
)
_NO_ANSWER: Final = Rule(
    name="no-answer", expression="1 / (hour - hour) == 1", action=Outcome.REVIEW, reason="A mistake"
)
POLICIES: Final = {
    1: Policy(thresholds=Thresholds(review=0.25, decline=0.8), deny=_DENY, allow=_ALLOW, rules=_RULES),
    2: Policy(thresholds=Thresholds(review=0.25, decline=0.8), deny=_DENY, allow=_ALLOW, rules=(*_RULES, _NO_ANSWER)),
}


async def make_set(folder: Path, seed: int = SEED) -> ReplaySetDocument:
    """Write a set into a folder that is not there yet. `FileExistsError` if it is."""
    catalogue = load_catalogue()
    models = {
        name: small_model(name, features, seed + place)
        for place, (name, features) in enumerate(
            {"champion": FEATURES, "champion-before": FEATURES, "stand-in": OF_THE_REQUEST}.items()
        )
    }
    made = [
        (shows, replace(decision, latency=LATENCY))
        async for shows, decision in _Decisions(catalogue, models, seed).all()
    ]
    document = ReplaySetDocument(
        seed=seed,
        libraries=dict(library_versions()),
        policies=POLICIES,
        decisions=tuple(kept(shows, decision) for shows, decision in made),
    )
    write(
        folder, document, [canonical(decision) for _, decision in made], {_version(one): one for one in models.values()}
    )
    return document


def small_model(name: str, features: Sequence[str], seed: int) -> dict[str, bytes]:
    """The files of a model of a few trees, on random numbers: large amounts and many payments are risky, old accounts are not."""
    random = np.random.default_rng(seed)
    column = {feature: random.exponential(3, _ROWS) for feature in features}
    column["amount"] = random.exponential(60, _ROWS)
    column["account_age_days"] = random.exponential(100, _ROWS)
    risk = column["amount"] / 40 - column["account_age_days"] / 100 + column.get("user_payment_count_1h", 0)
    y = (risk + random.normal(0, 0.7, _ROWS) > 4).astype(np.int8)
    x = np.column_stack([column[feature] for feature in features]).astype(np.float32)
    x[random.random(x.shape) < 0.1] = np.nan
    parameters = PARAMETERS | {"learning_rate": 0.4, "num_leaves": 8, "seed": seed, "num_threads": 1}
    booster = lightgbm.train(
        parameters, lightgbm.Dataset(x, y, feature_name=list(features)), num_boost_round=TREE_COUNT
    )
    trees = booster.model_to_string()
    served = onnx_form(lightgbm.Booster(model_str=trees))
    files = {TREES: trees.encode(), ONNX: served}
    card = ModelCard(
        version=version_of(trees, served, msgspec.to_builtins(_OF_MODELS)),
        features=tuple(features),
        thresholds=_OF_MODELS,
        files={file: sha256(content).hexdigest() for file, content in files.items()},
        features_fingerprint=features_fingerprint(),
        key="replay-set",
        training={"role": name, "seed": seed},
        metrics={},
    )
    return {CARD: msgspec.json.encode(card), **files}


def _version(files: Mapping[str, bytes]) -> str:
    return msgspec.json.decode(files[CARD], type=ModelCard).version


class _Broken:
    """A model that fails on every payment."""

    def __init__(self, model: OnnxModel) -> None:
        self.card = model.card

    def score(self, vectors: Sequence[Sequence[float]]) -> list[Scored]:
        raise RuntimeError("broken")

    unexplained = score


class _Decisions:
    """Everything in memory; one customer after the other comes and pays."""

    def __init__(self, catalogue: Catalogue, models: Mapping[str, Mapping[str, bytes]], seed: int) -> None:
        self._catalogue = catalogue
        self._random = Random(seed)  # noqa: S311 - made again by its seed
        self._models = {name: open_model(files, catalogue) for name, files in models.items()}
        self._kept = KeptModels({_version(files): files for files in models.values()}, catalogue)
        self._features = MemoryFeatures(catalogue.plan)
        self._policies = MemoryPolicies()
        self._in_force = ActivePolicies(self._policies, CelConditions(catalogue), max_age_seconds=0)
        self._store = MemoryDecisions()
        self._payments = 0
        self._halted = False

    async def all(self) -> AsyncIterator[tuple[str, Decision]]:
        """What each shows, and the decision."""
        score = self._scoring(self._models["champion"])
        by_score: dict[Outcome, Callable[[Decision], bool]] = {
            Outcome.APPROVE: lambda one: one.outcome is Outcome.APPROVE,
            Outcome.REVIEW: lambda one: one.outcome is Outcome.REVIEW,
            Outcome.DECLINE: lambda one: one.outcome is Outcome.DECLINE,
        }
        for outcome, shows in by_score.items():
            yield f"{outcome.value} by score", await self._first(score, shows)
        yield (
            "nothing known of the customer, and no amount",
            await self._record(
                score, amount=None, currency=None, user_id=None, device=None, payment_token=None, registered_at=None
            ),
        )
        yield "declined by others, at night", await self._record(score, at=NOON.replace(hour=2), declined=True)
        self._halted = True
        yield "decline by score, halted", await self._first(score, lambda one: one.declines_halted)
        self._halted = False
        yield "model fallback", await self._record(self._scoring(self._broken(), self._models["champion-before"]))
        yield "explanation deferred, not filled in yet", await self._later(score, fill=False)
        yield "explanation deferred and filled in later", await self._later(score, fill=True)
        yield "request-only features", await self._record(self._without_features(), source=Source.HTTP)

        await approve(self._policies, TENANT, {1: POLICIES[1]})
        yield "decline by deny list, of a device", await self._record(score, device="phone-stolen")
        yield "decline by deny list, of a country", await self._record(score, country="KP", source=Source.STREAM)
        yield "approve by allow list, of a user", await self._record(score, user_id="ursula", amount=Decimal("880"))
        yield "decline by a rule", await self._record(score, amount=Decimal("1200.50"))
        yield (
            "approve by a rule",
            await self._first(
                score, lambda one: one.policy_rule == "gift" and one.outcome is Outcome.APPROVE, amount=Decimal("0.50")
            ),
        )
        self._halted = True
        yield "decline by a rule, halted", await self._record(score, amount=Decimal("1500"))
        yield "decline by deny list, not halted", await self._record(score, device="phone-stolen-before")
        self._halted = False
        yield (
            "thresholds of the policy",
            await self._first(score, lambda one: one.policy_rule is None and one.model_outcome is Outcome.REVIEW),
        )
        yield "request-only features, under a policy", await self._record(self._without_features())
        yield (
            "request-only features, decline by a rule",
            await self._record(self._without_features(), amount=Decimal("650")),
        )
        yield (
            "model fallback, explanation deferred and filled in later",
            await self._later(self._scoring(self._broken(), self._models["champion-before"]), fill=True),
        )
        await approve(self._policies, TENANT, {2: POLICIES[2]})
        yield "a rule that could not be evaluated", await self._record(score)

    def _broken(self) -> Model:
        return _Broken(self._models["champion"])

    def _scoring(self, model: Model, *instead: Model, without: WithoutFeatures | None = None) -> ScorePayments:
        async def halts(tenants: Collection[TenantId]) -> frozenset[TenantId]:
            return frozenset(tenants) if self._halted else frozenset()

        return ScorePayments(
            self._features,
            OneModel(model, *instead),
            self._catalogue,
            self._in_force,
            lambda: NOON + timedelta(days=1),
            without_features=without,
            halts=halts,
        )

    def _without_features(self) -> ScorePayments:
        async def away(payments: Sequence[Payment]) -> list[Snapshot] | None:
            return None

        return self._scoring(
            self._models["champion"], without=WithoutFeatures(away, self._models["stand-in"], Outcome.REVIEW)
        )

    async def _record(
        self, score: ScorePayments, *, source: Source = Source.GRPC, explain: bool = True, **members: Any
    ) -> Decision:
        (made,) = await score([self._payment(**members)], source, explain=explain)
        return await self._store.record(made)

    async def _first(self, score: ScorePayments, shows: Callable[[Decision], bool], **members: Any) -> Decision:
        for _ in range(_ENOUGH):
            decision = await self._record(score, **members)
            if shows(decision):
                return decision
        raise ValueError(f"none of {_ENOUGH} payments shows it: the models of another seed would")

    async def _later(self, score: ScorePayments, *, fill: bool) -> Decision:
        decision = await self._record(score, explain=False)
        if not fill:
            # It stays as it is: whoever fills in finds it no more.
            for one in await self._store.oldest(1):
                await self._store.fill_in(one, None)
            return decision
        await ExplainLater(self._store, self._store, self._kept, self._catalogue, lambda: True).apply()
        filled = await self._store.find(decision.tenant_id, decision.event_id)
        if filled is None or not filled.is_explained:
            raise ValueError("the explanation was not filled in")
        return filled

    def _payment(self, **members: Any) -> Payment:
        self._payments += 1
        random, at = self._random, NOON + timedelta(seconds=17 * self._payments)
        user = f"customer-{random.randrange(4)}"
        values: dict[str, Any] = {
            "tenant_id": TENANT,
            "event_id": EventId(str(UUID(int=random.getrandbits(128), version=4))),
            "transaction_id": f"order-{self._payments}",
            "kind": PaymentKind.PURCHASE,
            "at": at,
            "subject": SubjectId(user),
            "amount": Decimal(round(random.expovariate(1 / 90) * 100)) / 100,
            "currency": "EUR",
            "user_id": user,
            "device": f"laptop-{random.randrange(6)}",
            "payment_token": f"card-{random.randrange(6)}",
            "country": random.choice(("DE", "AT", "FR")),
            "billing_country": "DE",
            "shipping_country": random.choice(("DE", "NL")),
            "registered_at": NOON - timedelta(days=random.expovariate(1 / 80)),
        } | members
        return Payment(**{"received_at": values["at"]} | values)


_ENOUGH: Final = 400
