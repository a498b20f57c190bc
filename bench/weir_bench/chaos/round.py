"""One round: clients send, a fault happens, the way back is timed, and the shops are judged."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from weir_anomaly.generators import Episode
from weir_common.kafka.topics import DECISIONS, EVENTS
from weir_local.demo import attacks, recompute
from weir_local.demo.api import Gateway
from weir_local.mesh import Mesh

from weir_bench.chaos import stores
from weir_bench.chaos.client import Diary, Sender
from weir_bench.chaos.faults import Evidence, inflict
from weir_bench.chaos.judgement import Effects, OnTheLog, Verdict, judge
from weir_bench.chaos.plan import Round
from weir_bench.chaos.recovery import DidNotRecover, accepting_again, caught_up, well
from weir_bench.chaos.servers import DoesNotStart, NotProven, dead, start
from weir_bench.chaos.traffic import CARDS, CARDS_UNTIL_FOUND, card_tester, event_id, is_payment, person
from weir_bench.load_generator import LoadTenant
from weir_bench.mesh_books import imbalance, settled_ledgers
from weir_bench.tenants import make_tenants

SHOPS = 2
PEOPLE = 12
SENDERS = 3
PAUSE_SECONDS = 0.5
BEFORE_SECONDS = 2.0
WELL_SECONDS = 240.0
SETTLE_SECONDS = 90.0
FIGURES_SECONDS = 30.0
CURRENCY = "USD"


@dataclass
class Shop:
    """One tenant of a round, with what its clients remember."""

    tenant: LoadTenant
    diary: Diary = field(default_factory=Diary)
    attack: Episode | None = None
    attack_ids: set[str] = field(default_factory=set)
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    log: OnTheLog = field(default_factory=lambda: OnTheLog({}))


@dataclass
class Outcome:
    """What came of a round. ``recovery_seconds`` None: it did not recover; ``proven`` empty: it does not count."""

    round: Round
    proven: list[str] = field(default_factory=list)
    not_proven: str = ""
    accepting_seconds: float | None = None
    recovery_seconds: float | None = None
    trouble: list[str] = field(default_factory=list)
    """Parts that died or did not recover, good events that were refused, whatever a fault's own judge found."""
    verdict: Verdict = field(default_factory=Verdict)
    imbalance: int = 0
    acknowledged: int = 0
    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    shops: list[Shop] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Proven, recovered, and nothing lost, doubled, inverted or out of balance."""
        verdict = self.verdict
        counts = (verdict.lost, verdict.twice, verdict.inverted, self.imbalance, len(self.trouble))
        return bool(self.proven) and self.recovery_seconds is not None and not any(counts)

    def document(self) -> dict[str, Any]:
        """For the report."""
        return {
            "number": self.round.number,
            "fault": str(self.round),
            "good": self.good,
            "proven": self.proven,
            "not_proven": self.not_proven,
            "accepting_seconds": self.accepting_seconds,
            "recovery_seconds": self.recovery_seconds,
            "trouble": self.trouble,
            "lost": self.verdict.lost,
            "twice": self.verdict.twice,
            "inverted": self.verdict.inverted,
            "imbalance": self.imbalance,
            "words": self.verdict.words,
            "sent": self.sent,
            "acknowledged": self.acknowledged,
            "failures": dict(self.failures),
            "tenants": [shop.tenant.id for shop in self.shops],
            "seconds": round(self.seconds, 1),
        }


async def play(mesh: Mesh, gateway: Gateway, one: Round) -> Outcome:
    """The whole round. Raises ``DidNotRecover`` only when the mesh is not well before it begins."""
    began = time.monotonic()
    outcome = Outcome(one)
    # What fell after the last round was judged falls to this one's account.
    await _raise_fallen(mesh, outcome)
    await well(mesh, WELL_SECONDS)
    outcome.shops = [Shop(tenant) for tenant in await make_tenants(gateway, SHOPS)]
    since = await stores.ends_of(mesh, [EVENTS, DECISIONS])
    stop = asyncio.Event()
    sending = [
        asyncio.create_task(sender.run(stop)) for shop in outcome.shops for sender in _senders(gateway, shop, one.seed)
    ]
    try:
        await asyncio.sleep(BEFORE_SECONDS)
        await _disturb(mesh, outcome)
    finally:
        stop.set()
        await asyncio.gather(*sending)
    await _tend(mesh, outcome)
    for shop in outcome.shops:
        outcome.sent += len(shop.diary.sent)
        outcome.acknowledged += len(shop.diary.kept)
        outcome.failures += shop.diary.failures
        outcome.trouble += shop.diary.refused
        if shop.diary.gave_up:
            outcome.trouble.append(f"{shop.diary.gave_up} events were not taken for minutes")
    await examine(mesh, gateway, [outcome], since)
    outcome.seconds = time.monotonic() - began
    return outcome


def _senders(gateway: Gateway, shop: Shop, seed: str) -> list[Sender]:
    tenant = shop.tenant
    episode, attack = card_tester(seed, tenant.id, shop.since)
    shop.attack = episode
    shop.attack_ids = {event_id(event) for event in episode.events}
    lines = [person(seed, tenant.id, number) for number in range(PEOPLE)] + [attack]
    return [
        Sender(gateway, tenant.key, shop.diary, lines[n::SENDERS], PAUSE_SECONDS, random.Random(f"{seed}/{n}"))
        for n in range(SENDERS)
    ]


async def _disturb(mesh: Mesh, outcome: Outcome) -> None:
    results = await asyncio.gather(*(inflict(mesh, fault) for fault in outcome.round.faults), return_exceptions=True)
    for result in results:
        if isinstance(result, NotProven):
            outcome.not_proven = str(result)
        elif isinstance(result, DoesNotStart):
            outcome.trouble.append(str(result))
        elif isinstance(result, BaseException):
            raise result
    evidence = [result for result in results if isinstance(result, Evidence)]
    if len(evidence) < len(results):
        return
    outcome.proven = [one.words for one in evidence]
    outcome.trouble += [word for one in evidence for word in one.wrong]
    since = max(one.since for one in evidence)
    try:
        outcome.accepting_seconds = await accepting_again([shop.diary for shop in outcome.shops], since, WELL_SECONDS)
        await caught_up(mesh, WELL_SECONDS)
        outcome.recovery_seconds = time.monotonic() - since
    except DidNotRecover as error:
        outcome.trouble.append(str(error))


async def _tend(mesh: Mesh, outcome: Outcome) -> None:
    """What died though nobody killed it is a fault of ours; it is started again, so that the next round can be played."""
    await _raise_fallen(mesh, outcome)
    try:
        await well(mesh, WELL_SECONDS)
    except DidNotRecover as error:
        outcome.trouble.append(str(error))


async def _raise_fallen(mesh: Mesh, outcome: Outcome) -> None:
    if fallen := dead(mesh):
        outcome.trouble.append(f"died by itself: {', '.join(fallen)}")
        await start(mesh, fallen)


async def examine(mesh: Mesh, gateway: Gateway, outcomes: Sequence[Outcome], since: stores.Offsets | None) -> None:
    """Judge every shop of the rounds anew. Without ``since`` the log is read from its earliest offset and the lake, too."""
    names = [shop.tenant.id for outcome in outcomes for shop in outcome.shops]
    logs = await stores.on_the_log(mesh, names, since)
    told = await stores.announced(mesh, names, since)
    rows = await stores.archived(mesh, names) if since is None else None
    for outcome in outcomes:
        mine = [shop.tenant.id for shop in outcome.shops]
        expected = {name: len(logs[name].ids) for name in mine}
        books = await settled_ledgers(gateway, mine, expected, SETTLE_SECONDS)
        outcome.imbalance, outcome.verdict = imbalance(books), Verdict()
        for shop in outcome.shops:
            name = shop.tenant.id
            shop.log = logs[name]
            verdict = await _judge(mesh, gateway, shop, told[name], None if rows is None else rows[name], books[name])
            outcome.verdict.lost += verdict.lost
            outcome.verdict.twice += verdict.twice
            outcome.verdict.inverted += verdict.inverted
            outcome.verdict.words += [f"{name}: {words}" for words in verdict.words]


async def _judge(
    mesh: Mesh,
    gateway: Gateway,
    shop: Shop,
    told: Counter[str],
    rows: Counter[str] | None,
    book: Mapping[str, Any],
) -> Verdict:
    if shop.attack is None:
        raise ValueError("a shop is judged by an attack that was sent to it")
    # The finding names the device as the log does.
    attack = await attacks.as_found(shop.attack, partial(gateway.subject_ids, shop.tenant.key))
    made = await stores.decisions(mesh, shop.tenant.id)
    effects = Effects(
        decisions={id_: len(outcomes) for id_, outcomes in made.items()},
        announced=told,
        archived=rows or {},
        consumers={consumer: done["applied"] + done["quarantined"] for consumer, done in book["consumers"].items()},
        findings=await stores.findings(mesh, shop.tenant.id, attack.rule, attack.entity),
        wrong_figures=await _wrong_figures(gateway, shop, made),
    )
    sent = shop.diary.sent
    return judge(
        sent,
        shop.diary.kept,
        shop.log,
        effects,
        payments={id_ for id_, one in sent.items() if is_payment(one.event)},
        finding_events=CARDS - CARDS_UNTIL_FOUND + 1 if shop.attack_ids <= shop.log.ids else 0,
        lake_read=rows is not None,
    )


async def _wrong_figures(gateway: Gateway, shop: Shop, made: dict[str, list[str]]) -> list[str]:
    """Figures that still differ from the recomputation after half a minute."""
    events = [shop.diary.sent[id_].event for id_ in shop.log.ids if id_ in shop.diary.sent]
    expected = recompute.figures(events, {id_: outcomes[0] for id_, outcomes in made.items()})
    start_ = shop.since - timedelta(hours=1)
    deadline = time.monotonic() + FIGURES_SECONDS
    wrong = ["no answer"]
    while time.monotonic() < deadline:
        until = datetime.now(UTC) + timedelta(hours=1)
        document = await stores.dashboard(gateway, shop.tenant.key, shop.tenant.id, start_, until)
        if document is not None:
            shown = recompute.dashboard_figures(document, CURRENCY)
            wrong = recompute.differences(expected, shown)
            if not wrong:
                return []
        await asyncio.sleep(0.5)
    return wrong
