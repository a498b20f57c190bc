"""Instances follow the registry: what is promoted decides soon, what is refused never, and no payment notices the change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from obstore.store import MemoryStore
from weir_common.ids import TenantId
from weir_fraud.active_models import REFUSED_SECONDS, STALE_SECONDS, ActiveModels
from weir_fraud.active_policies import ActivePolicies
from weir_fraud.adapters.memory_features import MemoryFeatures
from weir_fraud.adapters.memory_models import MemoryModels
from weir_fraud.adapters.object_files import ObjectFiles
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.decision import Source
from weir_fraud.domain.model_stage import ModelVersion, Stage
from weir_fraud.errors import ModelFilesUnavailable, ModelRegistryUnavailable, Refusal
from weir_fraud.load_models import LoadModel, PublishModel, folder_of
from weir_fraud.model_metrics import ModelMetrics
from weir_fraud.ports import Model, Serving
from weir_fraud.score_payments import ScorePayments

AT = datetime(2026, 3, 4, tzinfo=UTC)
SHOP, OTHER = TenantId("shop"), TenantId("other")


class Counted(ModelMetrics):
    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[Refusal] = []
        self.misses: list[TenantId] = []

    def refused(self, reason: Refusal) -> None:
        self.refusals.append(reason)

    def unserved(self, tenant_id: TenantId) -> None:
        self.misses.append(tenant_id)


class Registry(MemoryModels):
    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked: list[set[TenantId]] = []

    async def serving(self, known: int | None) -> Serving | None:
        await asyncio.sleep(0)
        if self.away:
            raise ModelRegistryUnavailable("away")
        return await super().serving(known)

    async def overrides(self, tenants: Collection[TenantId]) -> Mapping[TenantId, str]:
        self.asked.append(set(tenants))
        await asyncio.sleep(0)
        return await super().overrides(tenants)


class Loads:
    """Counts what is loaded; `away` is an object storage that does not answer."""

    def __init__(self, real: LoadModel) -> None:
        self._real = real
        self.loaded: list[str] = []
        self.away = False

    async def __call__(self, entry: ModelVersion) -> Model:
        await asyncio.sleep(0)
        if self.away:
            raise ModelFilesUnavailable("away")
        self.loaded.append(entry.version)
        return await self._real(entry)


class Stand:
    """A registry with versions a (the champion), b, c, and one instance."""

    def __init__(self, toys: Any) -> None:
        self.toys = toys
        self.time = 0.0
        self.store = MemoryStore()
        self.files = ObjectFiles(self.store, "memory://")
        self.registry = Registry()
        self.metrics = Counted()
        self.load = Loads(LoadModel(self.files, toys.open))
        self.models = self.instance()

    def instance(self) -> ActiveModels:
        own = self.toys.open(self.toys.files("own"))
        return ActiveModels(
            self.registry,
            self.load,
            own,
            self.metrics,
            monotonic=lambda: self.time,  # type: ignore[arg-type]
        )

    async def publish(self, version: str, says: float = 0.1) -> None:
        publish = PublishModel(self.files, self.registry, lambda: AT)
        await publish(self.toys.card(version, says), self.toys.files(version, says))

    async def promote(self, version: str, to: Stage = Stage.CHAMPION) -> None:
        await self.registry.promote(version, to, "op", "", AT, self.toys.audited)

    async def give(self, tenant: TenantId, version: str) -> None:
        await self.registry.set_override(tenant, version, "op", "", AT, self.toys.entry(version))

    async def decides(self, tenant: TenantId = SHOP) -> str:
        return (await self.models([tenant]))[tenant].card.version


@pytest.fixture
async def stand(toys: Any) -> Stand:
    made = Stand(toys)
    for version in "abc":
        await made.publish(version)
    await made.models.look()
    return made


async def test_the_first_that_is_published_is_the_champion_and_the_same_again_changes_nothing(stand: Stand) -> None:
    assert await stand.decides() == "a"
    stages = {one.version: one.stage for one in await stand.registry.versions(None, 10)}
    assert stages == {"a": Stage.CHAMPION, "b": Stage.CANDIDATE, "c": Stage.CANDIDATE}
    before = (await stand.registry.serving(None), list(stand.registry.audited))
    await stand.publish("a")
    assert (await stand.registry.serving(None), stand.registry.audited) == before
    assert stand.registry.audited[0].detail == {"what": "register", "stage": "champion"}


async def test_a_new_champion_decides_after_the_next_look_and_is_loaded_once(stand: Stand) -> None:
    await stand.promote("b")
    assert await stand.decides() == "a"
    await stand.models.look()
    await stand.models.look()
    assert await stand.decides() == "b"
    assert stand.load.loaded == ["a", "b"]
    await stand.registry.roll_back("op", "", AT, stand.toys.audited)
    await stand.models.look()
    assert await stand.decides() == "a"


async def test_without_the_registry_the_own_model_decides_and_it_is_told(stand: Stand) -> None:
    stand.registry.away = True
    stand.models = stand.instance()
    with pytest.raises(ModelRegistryUnavailable):
        await stand.models.look()
    assert await stand.decides() == "own"
    assert await stand.models.health() is None
    stand.time += STALE_SECONDS
    assert "last read 15 s ago" in (await stand.models.health() or "")


async def test_the_loop_outlives_an_outage(stand: Stand) -> None:
    stand.registry.away = True
    stop = asyncio.Event()
    task = asyncio.create_task(stand.models.run(stop))
    await asyncio.sleep(0.05)
    stand.registry.away = False
    await stand.promote("b")
    async with asyncio.timeout(5):
        while await stand.decides() != "b":
            await asyncio.sleep(0.02)
    stop.set()
    await asyncio.wait_for(task, 2)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [("changed", Refusal.HASH), ("gone", Refusal.MISSING), ("unsound", Refusal.EXPLANATION), ("other", Refusal.CARD)],
)
async def test_a_model_that_is_refused_leaves_the_one_before(stand: Stand, spoil: str, reason: Refusal) -> None:
    says = 1.0 if spoil == "unsound" else 0.2
    files, hashes = stand.toys.files("d", says), stand.toys.hashes("d", says)
    if spoil == "other":
        files, hashes = stand.toys.files("e"), stand.toys.hashes("e")
    folder = folder_of("d", hashes)
    stored = dict(files) if spoil != "gone" else {"model.json": files["model.json"]}
    if spoil == "changed":
        stored["model.txt"] += b" "
    await stand.files.put(folder, stored)
    await stand.registry.register(stand.toys.card("d", says), folder, hashes, "op", AT, stand.toys.audited)
    await stand.promote("d")
    for _ in range(3):
        await stand.models.look()
    assert await stand.decides() == "a"
    assert stand.metrics.refusals == [reason], "tried once, not at every look"
    stand.time += REFUSED_SECONDS
    await stand.models.look()
    assert stand.metrics.refusals == [reason] * 2
    await stand.promote("b")
    await stand.models.look()
    assert await stand.decides() == "b"


async def test_storage_that_is_away_is_asked_again(stand: Stand) -> None:
    stand.load.away = True
    await stand.promote("b")
    await stand.models.look()
    assert await stand.decides() == "a"
    stand.load.away = False
    await stand.models.look()
    assert await stand.decides() == "b"
    assert stand.metrics.refusals == []


async def test_a_tenant_may_have_a_challenger_and_nobody_else_notices(stand: Stand) -> None:
    await stand.promote("b", Stage.CHALLENGER)
    await stand.models.look()
    assert await stand.decides() == "a"
    assert stand.registry.asked == [], "while nobody has one no payment asks"
    await stand.give(SHOP, "b")
    await stand.models.look()
    assert [await stand.decides(SHOP), await stand.decides(OTHER)] == ["b", "a"]
    await stand.models([SHOP, OTHER])
    assert stand.registry.asked == [{SHOP}, {OTHER}], "once a tenant and revision"
    await stand.promote("c")
    await stand.models.look()
    assert [await stand.decides(SHOP), await stand.decides(OTHER)] == ["b", "c"]
    await stand.registry.remove_override(SHOP, stand.toys.entry("x"))
    await stand.models.look()
    assert await stand.decides(SHOP) == "c"


async def test_a_tenant_keeps_a_champion_that_it_was_given(stand: Stand) -> None:
    await stand.give(SHOP, "a")
    await stand.promote("b")
    await stand.models.look()
    assert [await stand.decides(SHOP), await stand.decides(OTHER)] == ["a", "b"]


async def test_when_a_model_fails_those_that_decided_before_it_are_asked(stand: Stand) -> None:
    def instead(model: Model) -> list[str]:
        return [one.card.version for one in stand.models.instead_of(model)]

    first = stand.models.champion
    assert instead(first) == ["own"]
    await stand.promote("b")
    await stand.models.look()
    second = stand.models.champion
    # The champion before is kept, though its stage says that it is retired.
    assert instead(second) == ["a", "own"]
    assert instead(first) == ["b", "own"]
    await stand.promote("c", Stage.CHALLENGER)
    await stand.give(SHOP, "c")
    await stand.models.look()
    theirs = (await stand.models([SHOP]))[SHOP]
    assert theirs.card.version == "c"
    assert instead(theirs) == ["b", "a", "own"]


async def test_an_override_that_changes_while_it_is_read_is_read_again(stand: Stand) -> None:
    await stand.promote("b", Stage.CHALLENGER)
    await stand.give(SHOP, "b")
    await stand.models.look()
    reading = asyncio.create_task(stand.decides(SHOP))
    await asyncio.sleep(0)
    await stand.give(SHOP, "a")
    await stand.models.look()
    await reading
    assert await stand.decides(SHOP) == "a"


async def test_a_challenger_that_cannot_be_used_leaves_the_champion_and_is_counted(stand: Stand) -> None:
    await stand.promote("b", Stage.CHALLENGER)
    await stand.give(SHOP, "b")
    stand.load.away = True
    await stand.models.look()
    assert await stand.decides(SHOP) == "a"
    assert stand.metrics.misses == [SHOP]


async def test_payments_in_flight_while_models_change_are_all_decided_each_by_one(
    stand: Stand,
    catalogue: Catalogue,
    in_force: ActivePolicies,
    make_payment: Callable[..., Any],
    clock: Callable[[], datetime],
) -> None:
    says = {"a": 0.1, "b": 0.1, "d": 0.5, "e": 0.9}
    await stand.publish("d", 0.5)
    await stand.publish("e", 0.9)
    score = ScorePayments(MemoryFeatures(catalogue.plan), stand.models, catalogue, in_force, clock)
    stop = asyncio.Event()
    following = asyncio.create_task(_follow(stand.models, stop))
    started = 0

    async def pay() -> list[tuple[str, float, int]]:
        nonlocal started
        decided = []
        while not stop.is_set():
            started += 1
            payer = {name: f"{name}-{started}" for name in ("user_id", "device", "payment_token")}
            (decision,) = await score([make_payment(after=started, **payer)], Source.HTTP)
            decided.append((decision.model_version, decision.score, len(decision.contributions)))
            await asyncio.sleep(0)
        return decided

    async def change() -> None:
        for version in ("d", "e", "b", "d", "e"):
            await stand.promote(version)
            while await stand.decides() != version:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.02)
        stop.set()

    async with asyncio.timeout(30):
        *answers, _ = await asyncio.gather(*(pay() for _ in range(4)), change())
    await following
    decided = [one for some in answers for one in some]
    assert len(decided) == started
    assert {version for version, _, _ in decided} >= {"b", "d", "e"}
    assert all((score, inputs) == (says[version], 2) for version, score, inputs in decided)


async def _follow(models: ActiveModels, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await models.look()
        await asyncio.sleep(0.002)


async def test_a_batch_of_tenants_with_different_models(
    stand: Stand,
    catalogue: Catalogue,
    in_force: ActivePolicies,
    make_payment: Callable[..., Any],
    clock: Callable[[], datetime],
) -> None:
    await stand.publish("d", 0.9)
    await stand.promote("d", Stage.CHALLENGER)
    await stand.give(SHOP, "d")
    await stand.models.look()
    score = ScorePayments(MemoryFeatures(catalogue.plan), stand.models, catalogue, in_force, clock)
    payments = [make_payment(after=number, tenant_id=(SHOP, OTHER)[number % 2]) for number in range(7)]
    decisions = await score(payments, Source.STREAM)
    assert [decision.event_id for decision in decisions] == [payment.event_id for payment in payments]
    assert [(decision.model_version, decision.score) for decision in decisions] == [
        ("d", 0.9) if number % 2 == 0 else ("a", 0.1) for number in range(7)
    ]
