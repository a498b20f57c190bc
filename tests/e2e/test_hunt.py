"""Personal data planted through the front door, and looked for in every store: the hunter must see, and see nothing it must not."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from rich.console import Console
from weir_common.events import decode_event, encode_event
from weir_common.kafka.closing import close_client
from weir_common.kafka.producer import kafka_publisher
from weir_common.kafka.records import OutgoingRecord
from weir_common.kafka.topics import TopicSpec, ensure_topics
from weir_common.settings import KafkaSettings
from weir_compliance.adapters.export_key import read_export_keys
from weir_compliance.adapters.payload_codec import SealingCodec
from weir_compliance.hunt.matcher import Matcher
from weir_compliance.hunt.mesh_stores import stores_of
from weir_compliance.hunt.native import (
    native_stores,
    places_of,
    plant_canary,
    throw_away_tenant,
    wait_until_arrived,
    wait_until_exported,
)
from weir_compliance.hunt.plant.events import planted_events
from weir_compliance.hunt.plant.front_door import plant
from weir_compliance.hunt.planted import Planted
from weir_compliance.hunt.prove import EVIDENCE, expect_sighted
from weir_compliance.hunt.report import UNREAD, exit_code, show, show_kinds
from weir_compliance.hunt.search import StoreReport, hunt
from weir_local.addresses import addresses
from weir_local.mesh import Mesh

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

VALUES = 1_000
STORE_SECONDS = 240.0


@dataclass(frozen=True)
class Hunted:
    """What was planted, and what one hunt after that found of it."""

    planted: Sequence[Planted]
    reports: Sequence[StoreReport]

    @property
    def found(self) -> set[str]:
        """Labels that are in any store."""
        return set().union(*(report.labels for report in self.reports))


@pytest.fixture(scope="module")
def hunted(mesh: Mesh) -> Hunted:
    """One planting and one hunt for all tests here: it takes a minute."""
    return asyncio.run(_hunted(mesh))


async def _hunted(mesh: Mesh) -> Hunted:
    since = time.time() - 1
    async with throw_away_tenant(mesh) as opened:
        planting = await plant(opened.door, seed="e2e", values=VALUES)
        for request_id in planting.exports:
            await wait_until_exported(opened, request_id)
        await wait_until_arrived(mesh, opened, len(planting.event_ids), planting.arrivals, since)
    canaries = await plant_canary(mesh)
    planted = [*planting.planted, *canaries]
    return Hunted(planted, await hunt(native_stores(mesh), Matcher(planted), store_seconds=STORE_SECONDS))


EXPECTED: Literal["all", "none"] = "none"
"""What of the values in accepted events is found: "all" if they were stored as they come, "none" since they are sealed."""


def test_every_store_was_read_and_the_hunter_sees(hunted: Hunted) -> None:
    assert {report.store: report.fault for report in hunted.reports if report.fault} == {}
    assert len(expect_sighted(hunted.reports, {store for store, _, _ in EVIDENCE})) == len(EVIDENCE)


def test_values_of_accepted_events_are_found_as_expected(hunted: Hunted, capsys: pytest.CaptureFixture[str]) -> None:
    kept = [one for one in hunted.planted if one.kept and not one.label.startswith("canary-")]
    with capsys.disabled():
        # The work list: which kind of value is in which store.
        console = Console(width=200)
        console.print()
        show(console, kept, hunted.reports)
        show_kinds(console, kept, hunted.reports)
    labels = {one.label for one in kept}
    assert len(labels) == VALUES
    places = [
        (label, report.store, where, sighting.spellings, sighting.examples)
        for report in hunted.reports
        for where, every in report.sightings.items()
        for label, sighting in every.items()
        if label in labels
    ]
    assert {label for label, *_ in places} == (labels if EXPECTED == "all" else set()), places


async def test_the_same_events_in_the_open_are_seen_to_the_last_value(mesh: Mesh) -> None:
    """Written past ingest, as they were sent: what the hunt above does not find is not there, rather than not looked for."""
    name = secrets.token_hex(6)
    events = list(planted_events(f"open-{name}", name, VALUES, datetime.now(UTC)))
    planted = [one for event in events for one in event.planted]
    topic = TopicSpec(f"test.hunt.{name}", 1, retention_days=0.1)
    kafka = KafkaSettings(bootstrap_servers=addresses(mesh).kafka)
    await ensure_topics(kafka, (topic,))
    try:
        async with kafka_publisher(kafka, "hunt-tests") as publisher:
            for event in events:
                value = encode_event(decode_event(json.dumps(event.event).encode()).event)
                await publisher.publish(OutgoingRecord(topic.name, b"key", value, {}, partition=0))
        stores = [one for one in native_stores(mesh) if one.name in ("kafka", "kafka files")]
        reports = await hunt(stores, Matcher(planted), store_seconds=STORE_SECONDS)
    finally:
        await _delete(kafka, topic.name)
    labels = {one.label for one in planted}
    assert len(labels) == VALUES
    assert {report.store: (report.fault, labels - report.labels) for report in reports} == {
        "kafka": (None, set()),
        "kafka files": (None, set()),
    }


async def _delete(kafka: KafkaSettings, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers, request_timeout_ms=10_000)
    await admin.start()
    try:
        await admin.delete_topics([topic], timeout_ms=10_000)
    finally:
        await close_client(admin.close, client="hunt tests")


def test_what_only_passes_is_kept_nowhere(hunted: Hunted) -> None:
    passing = {one.label for one in hunted.planted if not one.kept}
    assert len(passing) > 100
    leaks = {
        label: [
            (report.store, where)
            for report in hunted.reports
            for where, found in report.sightings.items()
            if label in found
        ]
        for label in passing & hunted.found
    }
    assert leaks == {}


@pytest.mark.parametrize("store", ["kafka", "postgres", "postgres files", "valkey", "valkey files", "temporal history"])
async def test_a_store_that_does_not_answer_is_not_clean(mesh: Mesh, store: str) -> None:
    nobody = "127.0.0.1:9"
    places = dataclasses.replace(
        places_of(mesh),
        kafka=nobody,
        postgres_dsn=f"postgresql://nobody:nothing@{nobody}/weir",
        valkey_url=f"redis://{nobody}",
        temporal=nobody,
    )
    stores = stores_of(places, SealingCodec(read_export_keys(addresses(mesh).exports_key)))
    chosen = [one for one in stores if one.name == store]
    reports = await hunt(chosen, Matcher([Planted("one", "a-value-that-nobody-has")]), store_seconds=90)
    assert reports[0].fault
    assert exit_code(reports) == UNREAD
