"""Every loud attack is found by its rule on its entity; every benign twin stays silent."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import pytest
from weir_anomaly import generators
from weir_anomaly.domain.casebook import Casebook
from weir_anomaly.domain.engine import Engine, Held, StateKey
from weir_anomaly.domain.event import EventDecoder
from weir_anomaly.domain.finding import Finding
from weir_anomaly.domain.registry import all_rules
from weir_anomaly.generators import Episode
from weir_common.events import Event as PublicEvent

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ATTACKS = (
    generators.card_testing,
    generators.geo_impossible,
    generators.bot,
    generators.price_manipulation,
    generators.data_quality,
)
TWINS = (
    generators.student_with_empty_cards,
    generators.flight,
    generators.commuter,
    generators.fast_comparer,
    generators.price_drop,
    generators.two_new_subtypes,
)

Generator = Callable[[str, str, datetime], Episode]


def findings_of(episode: Episode, *, batch: int = 7) -> list[Finding]:
    """Fold the episode in batches, as the consumer does."""
    engine, decoder = Engine(all_rules()), EventDecoder()
    stored: dict[StateKey, Held] = {}
    findings: dict[object, Finding] = {}
    events = [
        decoder.decode(msgspec.json.encode(event), accepted_at=START.timestamp() + 1e6, partition=0)
        for event in episode.events
    ]
    for index in range(0, len(events), batch):
        outcome = engine.fold([engine.wake(event) for event in events[index : index + batch]], stored)
        stored.update(outcome.states)
        casebook = Casebook(findings.values(), now=0.0, new_id=uuid4, traceparent_of=lambda _: None)
        for found in outcome.hits:
            casebook.judge(found)
        findings.update(casebook.touched)
    return list(findings.values())


@pytest.mark.parametrize("make", ATTACKS)
@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_a_loud_attack_is_one_finding_of_its_rule_on_its_entity(make: Generator, seed: str) -> None:
    episode = make(seed, "tenant", START)
    found = [finding for finding in findings_of(episode) if finding.rule == episode.rule]
    assert [finding.entity for finding in found] == [episode.entity]
    assert found[0].cleared_by
    assert found[0].score >= found[0].threshold


@pytest.mark.parametrize("make", TWINS)
@pytest.mark.parametrize("seed", ["a", "b", "c"])
def test_a_benign_twin_is_silent(make: Generator, seed: str) -> None:
    assert findings_of(make(seed, "tenant", START)) == []


@pytest.mark.parametrize("make", [*ATTACKS, *TWINS])
def test_generated_events_are_valid_events(make: Generator) -> None:
    for event in make("a", "tenant", START).events:
        msgspec.json.decode(msgspec.json.encode(event), type=PublicEvent)


@pytest.mark.parametrize("make", ATTACKS)
def test_the_split_into_batches_does_not_matter(make: Generator) -> None:
    episode = make("a", "tenant", START)
    sizes = (1, 3, random.Random(1).randrange(5, 50), 1_000)
    outcomes = {
        tuple(
            sorted(
                (finding.rule, finding.entity, finding.severity, finding.event_count)
                for finding in findings_of(episode, batch=size)
            )
        )
        for size in sizes
    }
    assert len(outcomes) == 1
