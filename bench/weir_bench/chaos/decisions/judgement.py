"""What callers were told against what is stored and announced, and the histories against the offline computation over the log."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec
from weir_common.ids import EventId, TenantId
from weir_common.kafka.topics import DECISIONS, EVENTS
from weir_common.valkey import valkey_client
from weir_fraud.adapters.valkey_features import ValkeyFeatures
from weir_fraud.domain.catalogue import load_catalogue
from weir_fraud.domain.history import Histories
from weir_fraud.domain.payment import Payment, observation_of
from weir_fraud.domain.payment_event import PaymentEvent, payment_of
from weir_fraud.settings import FraudSettings
from weir_local.addresses import environment_of
from weir_local.mesh import Mesh

from weir_bench.chaos import stores
from weir_bench.chaos.decisions.callers import Shop, Told

SAMPLE = 60
"""Payments after which the features of everybody who takes part in them are compared."""


@dataclass
class Verdict:
    """``lost``: payments that were answered or accepted and have no decision, stored or announced. ``different``: payments with two decisions, or
    one that is not what a caller was told. ``unapplied``: that the histories do not have. ``features``: compared values, and those that differ."""

    payments: int = 0
    lost: int = 0
    different: int = 0
    unapplied: int = 0
    features_compared: int = 0
    features_different: int = 0
    words: list[str] = field(default_factory=list)


async def judge(mesh: Mesh, shop: Shop, since: stores.Offsets) -> Verdict:
    """Of one shop, once all that was begun has been answered and the consumers have caught up."""
    tenant = shop.tenant.id
    stored = await _stored(mesh, tenant)
    announced = {
        id_: {(one["score"], one["outcome"], tuple(one["degraded"])) for one in map(msgspec.json.decode, values)}
        for id_, values in (await stores.values_of(mesh, DECISIONS, tenant, since)).items()
    }
    verdict = Verdict()
    expected = shop.answers.told.keys() | shop.accepted
    verdict.payments = len(expected)
    for id_ in sorted(expected):
        compare(id_, stored.get(id_), announced.get(id_, set()), shop.answers.told.get(id_, ()), verdict)
    async with stores.superuser(mesh) as connection:
        verdict.unapplied = await connection.fetchval(
            "SELECT count(*) FROM fraud.unobserved_payment WHERE tenant_id = $1", tenant
        )
    await _compare_features(mesh, tenant, await stores.values_of(mesh, EVENTS, tenant, since), verdict)
    return verdict


Made = tuple[float, str, tuple[str, ...]]


def compare(id_: str, stored: Made | None, announced: set[Made], told: Sequence[Told], verdict: Verdict) -> None:
    """One payment: what is stored of it, the different announcements, and what its callers were answered."""
    if stored is None or not announced:
        verdict.lost += 1
        verdict.words.append(f"{id_}: stored {stored}, announced {announced}")
        return
    answers = {(one.score, one.outcome, one.degraded) for one in told}
    if announced != {stored} or not answers <= {stored}:
        verdict.different += 1
        verdict.words.append(f"{id_}: stored {stored}, announced {announced}, told {answers}")


async def _stored(mesh: Mesh, tenant: str) -> Mapping[str, Made]:
    """The key of the table is the payment: there cannot be two."""
    async with stores.superuser(mesh) as connection:
        rows = await connection.fetch(
            "SELECT event_id, score, outcome, degraded FROM fraud.decision WHERE tenant_id = $1", tenant
        )
    return {str(row["event_id"]): (row["score"], row["outcome"], tuple(row["degraded"] or ())) for row in rows}


async def _compare_features(mesh: Mesh, tenant: str, log: Mapping[str, Sequence[bytes]], verdict: Verdict) -> None:
    """A payment of each of some people that was never made, asked of Valkey and of the offline computation."""
    decoder = msgspec.json.Decoder(PaymentEvent)
    now = datetime.now(UTC)
    payments = [payment_of(decoder.decode(values[0]), TenantId(tenant), now) for values in log.values()]
    payments.sort(key=lambda payment: (payment.at, payment.event_id))
    catalogue = load_catalogue()
    reference = Histories(catalogue.plan)
    for payment in payments:
        reference.observe(observation_of(payment))
    os.environ.update(environment_of(mesh, "fraud"))
    settings = FraudSettings()
    async with valkey_client(settings.valkey) as client:
        online = ValkeyFeatures(client, catalogue.plan)
        await online.load()
        for number, sample in enumerate(random.Random(tenant).sample(payments, min(SAMPLE, len(payments)))):
            probe = _probe(sample, now + timedelta(milliseconds=number))
            (found,) = await online.observe([probe])
            expected = reference.observe(observation_of(probe))
            verdict.features_compared += len(expected)
            wrong = [
                f"{aggregate.name}: {one!r} in Valkey, {other!r} offline"
                for aggregate, one, other in zip(catalogue.plan, found, expected, strict=True)
                if repr(one) != repr(other)
            ]
            verdict.features_different += len(wrong)
            verdict.words += wrong[:3]


def _probe(payment: Payment, at: datetime) -> Payment:
    return replace(payment, event_id=EventId(str(uuid4())), at=at, received_at=at)
