"""What the caches may and may not do: forget, fail, be too small; never outlive an erasure, never hold a key in the open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from weir_common.ids import TenantId
from weir_common.privacy.errors import VaultUnavailable
from weir_common.privacy.identifiers import user
from weir_common.privacy.recently_used import RecentlyUsed
from weir_common.privacy.vault import Vault

EVENT = b"e" * 16


class Counted:
    """Counts the calls of each method, and fails those named in ``broken``."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.calls: dict[str, int] = {}
        self.broken: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*given: Any) -> Any:
            self.calls[name] = self.calls.get(name, 0) + 1
            if name in self.broken:
                raise VaultUnavailable("away")
            return await method(*given)

        return call


@pytest.fixture
def counted(memory: Any, instance: Any) -> Counted:
    memory.records = Counted(memory.records)
    return memory.records


@pytest.fixture
def stores(memory: Any) -> Any:
    """In memory only: what is counted here are calls."""
    return memory


async def test_a_batch_of_newcomers_is_one_round_trip_and_a_warm_one_none(
    counted: Counted, one: Any, tenant_id: TenantId
) -> None:
    people = [user(f"p{number}") for number in range(80)]
    await one.keys.link_tokens(tenant_id)
    await one.vault.resolve(tenant_id, people)
    assert counted.calls["add_subjects"] == 1
    before = dict(counted.calls)
    await one.vault.resolve(tenant_id, people)
    await one.vault.resolve(tenant_id, people[:3])
    assert counted.calls == before


async def test_another_instance_gets_the_same_subjects_in_one_round_trip(
    counted: Counted, instance: Any, tenant_id: TenantId
) -> None:
    people = [user("ann"), user("bob")]
    first = await instance().vault.resolve(tenant_id, people)
    added = counted.calls["add_subjects"]
    second = await instance().vault.resolve(tenant_id, [*people, user("eve")])
    assert counted.calls["add_subjects"] == added + 1
    assert "subjects" not in counted.calls
    assert {p: s.subject_id for p, s in first.items()} == {p: second[p].subject_id for p in people}


async def test_what_is_forgotten_is_read_again(counted: Counted, one: Any, tenant_id: TenantId) -> None:
    people = [user(f"p{number}") for number in range(250)]  # the instance keeps 100
    first = await one.vault.resolve(tenant_id, people)
    again = await one.vault.resolve(tenant_id, people)
    assert {p: s.subject_id for p, s in first.items()} == {p: s.subject_id for p, s in again.items()}
    assert len(one.vault._kept) == 100


async def test_no_record_opens_without_the_tenants_key(memory: Any, one: Any, tenant_id: TenantId) -> None:
    ann = (await one.vault.resolve(tenant_id, [user("ann@example.org")]))[user("ann@example.org")]
    sealed = ann.cipher.seal(tenant_id, EVENT, b"text")
    record = await memory.records.subject(tenant_id, ann.subject_id)
    assert "ann" not in repr(record)
    assert len(record.wrapped_key) == 40
    _, kek = await one.keys.current(tenant_id)
    assert ann.cipher.open(tenant_id, EVENT, sealed) == b"text"
    assert kek.unwrap(record.wrapped_key) not in record.wrapped_key


async def test_without_an_answer_warm_subjects_are_used_for_a_bounded_time(
    counted: Counted, one: Any, tenant_id: TenantId, clock: Any
) -> None:
    await one.vault.resolve(tenant_id, [user("ann")])
    counted.broken = {"erasure_mark", "add_subjects", "subjects", "subject"}
    clock.advance(seconds=29)
    assert await one.vault.resolve(tenant_id, [user("ann")])
    with pytest.raises(VaultUnavailable):
        await one.vault.resolve(tenant_id, [user("bob")])
    clock.advance(seconds=1)
    with pytest.raises(VaultUnavailable):
        await one.vault.resolve(tenant_id, [user("ann")])
    counted.broken = set()
    assert await one.vault.resolve(tenant_id, [user("ann"), user("bob")])


async def test_subjects_that_vanish_again_and_again_are_an_error_not_a_loop(
    one: Any, memory: Any, tenant_id: TenantId
) -> None:
    class Vanishing(Counted):
        async def add_subjects(self, *_: Any) -> list[Any]:
            self.calls["add_subjects"] = self.calls.get("add_subjects", 0) + 1
            return []

    records = Vanishing(memory.records)
    vault = Vault(records, one.keys)
    with pytest.raises(VaultUnavailable, match="3 attempts"):
        await vault.resolve(tenant_id, [user("ann")])
    assert records.calls["add_subjects"] == 3


async def test_what_was_rewrapped_while_it_was_read_is_read_again(
    one: Any, memory: Any, instance: Any, tenant_id: TenantId, clock: Any
) -> None:
    ann = (await one.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    index = (await one.keys.blind_index(tenant_id)).digest(user("ann").encode())
    overtaken = await memory.records.subjects(tenant_id, [index])
    clock.advance(days=35)
    assert (await one.rotate(tenant_id)).destroyed

    class Overtaken(Counted):
        async def add_subjects(self, *given: Any) -> Any:
            self.calls["add_subjects"] = self.calls.get("add_subjects", 0) + 1
            return overtaken if self.calls["add_subjects"] == 1 else await self._inner.add_subjects(*given)

    records = Overtaken(memory.records)
    late = Vault(records, instance().keys)
    assert (await late.resolve(tenant_id, [user("ann")]))[user("ann")].subject_id == ann.subject_id
    assert records.calls["add_subjects"] == 2


def test_the_least_recently_used_is_forgotten() -> None:
    kept: RecentlyUsed[str, int] = RecentlyUsed(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c"), len(kept)) == (1, None, 3, 2)
    kept.put("a", 4)
    assert kept.get("a") == 4
    kept.forget("a")
    kept.forget("z")
    assert kept.get("a") is None
    assert "1" not in repr(RecentlyUsed(5)).replace("of 5", "")
    with pytest.raises(ValueError, match="one value"):
        RecentlyUsed(0)


class SlowMark(Counted):
    """Its database answers for the mark when told to."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.answer = asyncio.Event()

    async def erasure_mark(self, tenant_id: TenantId) -> int:
        self.calls["erasure_mark"] = self.calls.get("erasure_mark", 0) + 1
        number: int = await self._inner.erasure_mark(tenant_id)
        await self.answer.wait()
        return number


async def test_a_slow_database_is_asked_for_the_mark_once_and_not_by_everybody_who_waits(
    one: Any, memory: Any, tenant_id: TenantId, clock: Any
) -> None:
    records = SlowMark(memory.records)
    vault = Vault(records, one.keys, monotonic=clock.monotonic)
    waiting = [asyncio.create_task(vault.resolve(tenant_id, [user(f"p{number}")])) for number in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    waiting[0].cancel()  # who asked first gives up; the others still get the answer
    await asyncio.sleep(0)
    clock.advance(seconds=0.9)
    waiting.append(asyncio.create_task(vault.resolve(tenant_id, [user("late")])))
    await asyncio.sleep(0.01)
    assert records.calls["erasure_mark"] == 1
    clock.advance(seconds=0.2)
    waiting.append(asyncio.create_task(vault.resolve(tenant_id, [user("later")])))
    await asyncio.sleep(0.01)
    assert records.calls["erasure_mark"] == 2, "what began more than a second ago may be too old"
    records.answer.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(len(answer) == 1 for answer in answers[1:] if not isinstance(answer, BaseException))
    assert sum(isinstance(answer, BaseException) for answer in answers) == 1


async def test_of_a_busy_tenant_nobody_waits_for_the_mark(
    one: Any, memory: Any, tenant_id: TenantId, clock: Any
) -> None:
    records = SlowMark(memory.records)
    records.answer.set()
    vault = Vault(records, one.keys, monotonic=clock.monotonic)
    before = (await vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    records.answer.clear()
    for _ in range(4):
        clock.advance(seconds=0.2)
        async with asyncio.timeout(1):
            await vault.resolve(tenant_id, [user("ann")])
        await asyncio.sleep(0)
    assert records.calls["erasure_mark"] == 2, "once at first, and once ahead"
    await memory.records.erase(tenant_id, before.subject_id)
    records.answer.set()
    await asyncio.sleep(0.01)
    clock.advance(seconds=0.6)
    await vault.resolve(
        tenant_id, [user("ann")]
    )  # the one read ahead was that of before the erasure, and is read ahead again
    await asyncio.sleep(0.01)
    after = (await vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert after.subject_id != before.subject_id


async def test_a_mark_that_was_being_read_during_an_erasure_is_not_kept(
    one: Any, memory: Any, tenant_id: TenantId, clock: Any
) -> None:
    records = SlowMark(memory.records)
    records.answer.set()
    vault = Vault(records, one.keys, monotonic=clock.monotonic)
    before = (await vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    clock.advance(seconds=2)
    records.answer.clear()
    under_way = asyncio.create_task(vault.resolve(tenant_id, [user("ann")]))
    await asyncio.sleep(0.01)
    assert await vault.erase(tenant_id, before.subject_id)
    records.answer.set()
    await under_way
    after = (await vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert after.subject_id != before.subject_id
