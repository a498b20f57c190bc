"""What every vault must do: in memory, and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.errors import KeyDestroyed, SealBroken
from weir_common.privacy.identifiers import device, user, visitor
from weir_common.privacy.periods import token_period_begins

EVENT = b"e" * 16
Make = Callable[[], Any]


async def test_the_same_person_is_the_same_subject_for_every_instance(instance: Make, tenant_id: TenantId) -> None:
    here, there = instance(), instance()
    first = (await here.vault.resolve(tenant_id, [user("ann"), user("bob")]))[user("ann")]
    again = (await here.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    elsewhere = (await there.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert first.subject_id == again.subject_id == elsewhere.subject_id
    sealed = first.cipher.seal(tenant_id, EVENT, b"text")
    assert elsewhere.cipher.open(tenant_id, EVENT, sealed) == b"text"


async def test_the_kinds_are_different_subjects_with_different_keys(one: Any, tenant_id: TenantId) -> None:
    kinds = [user("x"), visitor("x"), device("x")]
    found = await one.vault.resolve(tenant_id, kinds)
    assert len({found[kind].subject_id for kind in kinds}) == 3
    sealed = found[user("x")].cipher.seal(tenant_id, EVENT, b"text")
    with pytest.raises(SealBroken):
        found[visitor("x")].cipher.open(tenant_id, EVENT, sealed)


async def test_tenants_share_nobody(one: Any, tenant_id: TenantId) -> None:
    other = TenantId(tenant_id + "-other")
    ours = (await one.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert await one.vault.find(other, [user("ann")]) == {}
    theirs = (await one.vault.resolve(other, [user("ann")]))[user("ann")]
    assert ours.subject_id != theirs.subject_id
    with pytest.raises(KeyDestroyed):
        await one.vault.open_key(other, ours.subject_id)
    assert not await one.vault.erase(other, ours.subject_id)
    assert await one.vault.find(tenant_id, [user("ann")])


async def test_the_id_says_nothing_about_the_person(one: Any, tenant_id: TenantId) -> None:
    found = await one.vault.resolve(tenant_id, [user(f"person{number}") for number in range(50)])
    ids = {subject.subject_id for subject in found.values()}
    assert len(ids) == 50
    assert all(name.startswith("sub_") and len(name) == 26 and "person" not in name for name in ids)


async def test_find_makes_nobody(one: Any, tenant_id: TenantId) -> None:
    assert await one.vault.find(tenant_id, [user("ann")]) == {}
    made = await one.vault.resolve(tenant_id, [user("ann")])
    found = await one.vault.find(tenant_id, [user("ann"), user("bob")])
    assert {key: subject.subject_id for key, subject in found.items()} == {user("ann"): made[user("ann")].subject_id}


async def test_a_batch_may_name_a_person_twice_and_nobody_at_all(one: Any, tenant_id: TenantId) -> None:
    found = await one.vault.resolve(tenant_id, [user("ann"), user("ann")])
    assert list(found) == [user("ann")]
    assert await one.vault.resolve(tenant_id, []) == {}


async def test_instances_that_meet_a_person_at_once_agree(instance: Make, tenant_id: TenantId) -> None:
    people = [user(f"p{number}") for number in range(40)]
    instances = [instance() for _ in range(4)]
    orders = [people, people[::-1], people[20:] + people[:20], people[::2] + people[1::2]]
    answers = await asyncio.gather(
        *(one.vault.resolve(tenant_id, order) for one, order in zip(instances, orders, strict=True))
    )
    for person in people:
        assert len({answer[person].subject_id for answer in answers}) == 1
    sealed = answers[0][people[0]].cipher.seal(tenant_id, EVENT, b"text")
    assert {answer[people[0]].cipher.open(tenant_id, EVENT, sealed) for answer in answers} == {b"text"}


async def test_a_key_is_opened_by_the_id_on_the_log(instance: Make, tenant_id: TenantId) -> None:
    ann = (await instance().vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    sealed = ann.cipher.seal(tenant_id, EVENT, b"text")
    cipher = await instance().vault.open_key(tenant_id, ann.subject_id)
    assert cipher.open(tenant_id, EVENT, sealed) == b"text"
    with pytest.raises(KeyDestroyed):
        await instance().vault.open_key(tenant_id, SubjectId("sub_nobody"))


async def test_erasure_destroys_the_key_and_the_person_returns_as_somebody_else(
    one: Any, instance: Make, tenant_id: TenantId
) -> None:
    ann = (await one.vault.resolve(tenant_id, [user("ann"), user("bob")]))[user("ann")]
    assert await one.vault.erase(tenant_id, ann.subject_id)
    for vault in (one.vault, instance().vault):
        with pytest.raises(KeyDestroyed):
            await vault.open_key(tenant_id, ann.subject_id)
        assert list(await vault.find(tenant_id, [user("ann"), user("bob")])) == [user("bob")]
    again = (await one.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert again.subject_id != ann.subject_id
    sealed = ann.cipher.seal(tenant_id, EVENT, b"text")
    with pytest.raises(SealBroken):
        again.cipher.open(tenant_id, EVENT, sealed)


async def test_an_erasure_may_be_repeated(one: Any, tenant_id: TenantId) -> None:
    ann = (await one.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert await one.vault.erase(tenant_id, ann.subject_id)
    assert not await one.vault.erase(tenant_id, ann.subject_id)


async def test_an_erasure_reaches_other_instances_within_the_bound(
    instance: Make, tenant_id: TenantId, clock: Any
) -> None:
    here, there = instance(), instance()
    ann = (await here.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert (await there.vault.find(tenant_id, [user("ann")]))[user("ann")].subject_id == ann.subject_id
    await here.vault.erase(tenant_id, ann.subject_id)
    clock.advance(seconds=1.0)
    assert await there.vault.find(tenant_id, [user("ann")]) == {}
    again = (await there.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    assert again.subject_id != ann.subject_id


async def test_a_read_that_an_erasure_overtakes_leaves_nothing_behind(
    instance: Make, tenant_id: TenantId, clock: Any
) -> None:
    """One instance reads the record, another erases it, then the first keeps what it read."""
    here, there = instance(), instance()
    ann = (await here.vault.resolve(tenant_id, [user("ann")]))[user("ann")]
    records = here.stores.records

    class Overtaken:
        def __getattr__(self, name: str) -> Any:
            return getattr(records, name)

        async def subjects(self, tenant: TenantId, indexes: Any) -> Any:
            found = await records.subjects(tenant, indexes)
            await here.vault.erase(tenant, ann.subject_id)
            return found

    late = instance()
    late.vault._records = Overtaken()
    assert await late.vault.find(tenant_id, [user("ann")])
    clock.advance(seconds=1.0)
    late.vault._records = records
    for vault in (here.vault, there.vault, late.vault):
        assert await vault.find(tenant_id, [user("ann")]) == {}


async def test_tokens_are_the_same_for_all_instances_and_other_for_tenants_namespaces_and_periods(
    instance: Make, tenant_id: TenantId, clock: Any
) -> None:
    here = await instance().keys.link_tokens(tenant_id)
    there = await instance().keys.link_tokens(tenant_id)
    other = await instance().keys.link_tokens(TenantId(tenant_id + "-other"))
    made = {namespace: make("value") for namespace, make in here.of.items()}
    assert made == {namespace: make("value") for namespace, make in there.of.items()}
    assert len({token.partition("_")[2] for token in made.values()}) == 5
    assert all(make("value") != made[namespace] for namespace, make in other.of.items())
    one = instance()
    assert (await one.keys.link_tokens(tenant_id)).of["device"]("value") == made["device"]
    clock.advance(days=90)
    assert (await one.keys.link_tokens(tenant_id)).of["device"]("value") != made["device"]


async def test_tokens_to_come_are_those_of_the_next_period_and_of_no_other(
    instance: Make, tenant_id: TenantId, clock: Any
) -> None:
    to_come = await instance().keys.link_tokens_to_come(tenant_id)
    again = await instance().keys.link_tokens_to_come(tenant_id)
    now = await instance().keys.link_tokens(tenant_id)
    assert to_come.of["card"]("4711") == again.of["card"]("4711") != now.of["card"]("4711")
    clock.advance(days=90)
    then = await instance().keys.link_tokens(tenant_id)
    assert (then.period, then.of["card"]("4711")) == (to_come.period, to_come.of["card"]("4711"))
    assert token_period_begins(then.period) <= clock() < token_period_begins(then.period + 1)
    clock.advance(days=90)
    assert (await instance().keys.link_tokens(tenant_id)).of["card"]("4711") != to_come.of["card"]("4711")


async def test_instances_that_make_a_tenants_keys_at_once_agree(instance: Make, tenant_id: TenantId) -> None:
    instances = [instance() for _ in range(4)]
    tokens = await asyncio.gather(*(one.keys.link_tokens(tenant_id) for one in instances))
    assert len({made.of["card"]("4711") for made in tokens}) == 1
    subjects = await asyncio.gather(*(one.vault.resolve(tenant_id, [user("ann")]) for one in instances))
    assert len({found[user("ann")].subject_id for found in subjects}) == 1
