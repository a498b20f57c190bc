"""What every store of ingest must do, the fakes and the real ones."""

from __future__ import annotations

import asyncio
from itertools import combinations

import msgspec
import pytest
from redis.asyncio import Redis
from weir_common.consent import Consent
from weir_common.errors import RetryError
from weir_common.ids import EventId, SubjectId, TenantId
from weir_ingest.adapters.memory_answers import MemoryAnswers
from weir_ingest.adapters.memory_quotas import MemoryQuotas
from weir_ingest.adapters.memory_receipts import MemoryReceipts
from weir_ingest.adapters.valkey_answers import ValkeyAnswers
from weir_ingest.adapters.valkey_quotas import ValkeyQuotas
from weir_ingest.adapters.valkey_receipts import ValkeyReceipts
from weir_ingest.domain.idempotency import Claim, ClaimState, KeptAnswer
from weir_ingest.domain.quota import Quota
from weir_ingest.domain.receipt import KeptReceipt, Receipt, receipt_consent
from weir_ingest.ports import AnswerStore, QuotaStore, ReceiptStore

KINDS = ["memory", pytest.param("valkey", marks=pytest.mark.integration)]
ANSWER = KeptAnswer(207, msgspec.Raw(b'{"results":[]}'))


@pytest.fixture(params=KINDS)
def receipts(request: pytest.FixtureRequest) -> ReceiptStore:
    if request.param == "memory":
        return MemoryReceipts()
    return ValkeyReceipts(request.getfixturevalue("valkey"), ttl_seconds=60, timeout_seconds=5)


@pytest.fixture(params=KINDS)
def answers(request: pytest.FixtureRequest) -> AnswerStore:
    if request.param == "memory":
        return MemoryAnswers()
    return ValkeyAnswers(request.getfixturevalue("valkey"), ttl_seconds=60, timeout_seconds=5)


@pytest.fixture(params=KINDS)
def quotas(request: pytest.FixtureRequest) -> QuotaStore:
    if request.param == "memory":
        return MemoryQuotas()
    return ValkeyQuotas(request.getfixturevalue("valkey"), timeout_seconds=5)


async def test_the_first_receipt_of_an_event_is_kept_and_belongs_to_its_tenant(
    receipts: ReceiptStore, tenant: TenantId
) -> None:
    one, two, three = (EventId(f"{number:08d}") for number in range(3))
    first, second = (
        KeptReceipt(Receipt("weir.ingest.events.v2", 3, offset, "2026-11-25T10:30:00.000001Z"), key_id)
        for offset, key_id in ((41, SubjectId("sub_yM3n0pYx1TqkQhXv7G2b3A")), (2**40, None))
    )
    await receipts.save(tenant, {one: first})
    await receipts.save(tenant, {one: second, two: second})
    assert await receipts.find(tenant, [two, three, one]) == {one: first, two: second}
    assert await receipts.find(TenantId(f"{tenant}-other"), [one]) == {}


@pytest.mark.integration
async def test_a_receipt_of_before_they_were_packed_is_read_until_it_expires(valkey: Redis, tenant: TenantId) -> None:
    one = EventId("6f1e2d3c-0a9b-4c8d-9e7f-112233445566")
    await valkey.set(f"receipt:{tenant}:{one}", "11 42 2026-11-25T10:30:00.123456Z", ex=60)
    found = await ValkeyReceipts(valkey, ttl_seconds=60, timeout_seconds=5).find(tenant, [one])
    assert found == {one: KeptReceipt(Receipt("weir.ingest.events.v2", 11, 42, "2026-11-25T10:30:00.123456Z"))}


@pytest.mark.parametrize("refused", [set(some) for size in range(4) for some in combinations(Consent, size)])
async def test_a_receipt_remembers_what_was_refused(
    receipts: ReceiptStore, tenant: TenantId, refused: set[Consent]
) -> None:
    receipt = Receipt(
        "weir.ingest.events.v2", 3, 41, "2026-11-25T10:30:00.000001Z", receipt_consent(frozenset(refused))
    )
    kept = KeptReceipt(receipt)
    await receipts.save(tenant, {EventId("e"): kept})
    assert await receipts.find(tenant, [EventId("e")]) == {EventId("e"): kept}


async def test_a_key_is_ours_then_running_then_done(answers: AnswerStore, tenant: TenantId) -> None:
    assert await answers.claim(tenant, "k", "d1") == Claim(ClaimState.OURS)
    assert await answers.claim(tenant, "k", "d1") == Claim(ClaimState.RUNNING)
    assert await answers.claim(tenant, "k", "d2") == Claim(ClaimState.OTHER_REQUEST)
    await answers.keep(tenant, "k", "d1", ANSWER)
    done = await answers.claim(tenant, "k", "d1")
    assert done.state is ClaimState.DONE
    assert done.answer is not None
    assert (done.answer.status, bytes(done.answer.body)) == (ANSWER.status, bytes(ANSWER.body))
    assert await answers.claim(tenant, "k", "d2") == Claim(ClaimState.OTHER_REQUEST)
    assert await answers.claim(TenantId(f"{tenant}-other"), "k", "d2") == Claim(ClaimState.OURS)


async def test_a_released_key_can_be_claimed_again(answers: AnswerStore, tenant: TenantId) -> None:
    await answers.claim(tenant, "k", "d1")
    await answers.release(tenant, "k")
    assert await answers.claim(tenant, "k", "d2") == Claim(ClaimState.OURS)


async def test_only_one_of_many_at_once_may_do_a_request(answers: AnswerStore, tenant: TenantId) -> None:
    claims = await asyncio.gather(*(answers.claim(tenant, "k", "d1") for _ in range(20)))
    assert [claim.state for claim in claims].count(ClaimState.OURS) == 1


@pytest.mark.integration
async def test_valkey_cannot_read_a_kept_answer_or_its_key(valkey: Redis, tenant: TenantId) -> None:
    answers = ValkeyAnswers(valkey, ttl_seconds=60, timeout_seconds=5)
    quoted = KeptAnswer(422, msgspec.Raw(b'{"errors":[{"got":"ada@example.com"}]}'))
    await answers.claim(tenant, "grace@example.com", "d1")
    await answers.keep(tenant, "grace@example.com", "d1", quoted)
    (name,) = [key async for key in valkey.scan_iter(f"idempotency:{tenant}:*")]
    kept = await valkey.get(name)
    assert kept is not None
    assert b"example.com" not in name + kept
    assert b"errors" not in kept
    done = await answers.claim(tenant, "grace@example.com", "d1")
    assert done.answer == quoted
    # Another tenant's answer under this name, or one that was changed, is nobody's answer.
    await valkey.set(name, kept[:-1] + bytes([kept[-1] ^ 1]))
    with pytest.raises(RetryError, match="does not open"):
        await answers.claim(tenant, "grace@example.com", "d1")


async def test_a_bucket_gives_its_burst_and_then_what_it_gains(quotas: QuotaStore, tenant: TenantId) -> None:
    quota = Quota(events_per_second=50, bytes_per_second=1_000_000)
    draws = await asyncio.gather(*(quotas.draw(tenant, quota, 300, 100) for _ in range(4)))
    # 500 are saved up; while four draw, a few more are gained.
    assert 500 <= sum(draw.events for draw in draws) <= 525
    assert [draw.bytes for draw in draws] == [100] * 4
    await asyncio.sleep(0.5)
    gained = await quotas.draw(tenant, quota, 1_000, 0)
    assert 20 <= gained.events <= 60
    assert gained.events_left <= 1


async def test_bytes_run_out_apart_from_events(quotas: QuotaStore, tenant: TenantId) -> None:
    quota = Quota(events_per_second=1_000, bytes_per_second=10)
    first = await quotas.draw(tenant, quota, 1, quota.burst_bytes)
    second = await quotas.draw(tenant, quota, 1, 1_000)
    assert (first.bytes, first.events, second.events) == (quota.burst_bytes, 1, 1)
    assert second.bytes <= 10


async def test_a_day_has_an_end(quotas: QuotaStore, tenant: TenantId) -> None:
    quota = Quota(events_per_second=1_000, bytes_per_second=1_000, events_per_day=70)
    first = await quotas.draw(tenant, quota, 50, 0)
    second = await quotas.draw(tenant, quota, 50, 0)
    third = await quotas.draw(tenant, quota, 50, 0)
    assert [first.events, second.events, third.events] == [50, 20, 0]
    assert [first.day_left, second.day_left, third.day_left] == [20, 0, 0]
    assert 0 < third.seconds_to_midnight <= 86_400


async def test_tenants_have_buckets_of_their_own(quotas: QuotaStore, tenant: TenantId) -> None:
    quota = Quota(events_per_second=1, bytes_per_second=1_000)
    assert (await quotas.draw(tenant, quota, 10, 0)).events == 10
    assert (await quotas.draw(TenantId(f"{tenant}-other"), quota, 10, 0)).events == 10
