"""Rotation of the tenants' keys, while others read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from weir_common.ids import TenantId
from weir_common.privacy.errors import KeyDestroyed
from weir_common.privacy.identifiers import user
from weir_common.privacy.periods import epoch_of

EVENT = b"e" * 16
Make = Callable[[], Any]


async def test_rotation_moves_everything_and_destroys_a_key_after_two_epochs(
    one: Any, instance: Make, tenant_id: TenantId, clock: Any
) -> None:
    people = [user(f"p{number}") for number in range(25)]
    before = await one.vault.resolve(tenant_id, people)
    sealed = {person: subject.cipher.seal(tenant_id, EVENT, person.encode()) for person, subject in before.items()}
    token = (await one.keys.link_tokens(tenant_id)).of["device"]("d")
    first = epoch_of(clock())

    nothing = await one.rotate(tenant_id)
    assert (nothing.rewrapped, nothing.destroyed) == (0, ())
    clock.advance(days=7)
    moved = await one.rotate(tenant_id, batch=10)
    # 25 subjects, 5 token keys, 1 blind index.
    assert (moved.epoch, moved.rewrapped, moved.destroyed) == (first + 1, 31, ())
    assert set(await one.stores.keks.keks(tenant_id)) == {first, first + 1}
    clock.advance(days=7)
    assert (await one.rotate(tenant_id)).destroyed == (first,)
    assert set(await one.stores.keks.keks(tenant_id)) == {first + 1, first + 2}
    with pytest.raises(KeyDestroyed):
        await instance().keys.kek(tenant_id, first)

    fresh = instance()
    after = await fresh.vault.find(tenant_id, people)
    assert {person: subject.subject_id for person, subject in after.items()} == {
        person: subject.subject_id for person, subject in before.items()
    }
    for person, subject in after.items():
        assert subject.cipher.open(tenant_id, EVENT, sealed[person]) == person.encode()
    assert (await fresh.keys.link_tokens(tenant_id)).of["device"]("d") == token


async def test_a_rotation_that_is_weeks_late_destroys_nothing_that_is_read(
    one: Any, instance: Make, tenant_id: TenantId, clock: Any
) -> None:
    """Whoever kept somebody under the old key goes on when it is destroyed, and so does whoever comes new."""
    reader, people = instance(), [user(f"p{number}") for number in range(10)]
    before = await reader.vault.resolve(tenant_id, people)
    clock.advance(days=35)
    assert (await one.rotate(tenant_id)).destroyed == (epoch_of(clock()) - 5,)
    newcomer = instance()
    after = await newcomer.vault.find(tenant_id, people)
    assert {p: s.subject_id for p, s in after.items()} == {p: s.subject_id for p, s in before.items()}
    await reader.vault.open_key(tenant_id, before[people[0]].subject_id)


async def test_reading_goes_on_while_rotation_runs(one: Any, instance: Make, tenant_id: TenantId, clock: Any) -> None:
    people = [user(f"p{number}") for number in range(60)]
    ids = {person: s.subject_id for person, s in (await one.vault.resolve(tenant_id, people)).items()}
    clock.advance(days=28)
    done = asyncio.Event()
    readings = 0

    async def read() -> None:
        nonlocal readings
        while not done.is_set() or readings == 0:
            reader = instance()
            found = await reader.vault.resolve(tenant_id, people)
            assert {person: s.subject_id for person, s in found.items()} == ids
            await reader.vault.open_key(tenant_id, ids[people[0]])
            readings += 1
            await asyncio.sleep(0)

    async def rotate() -> None:
        try:
            for _ in range(3):
                await asyncio.gather(one.rotate(tenant_id, batch=7), instance().rotate(tenant_id, batch=5))
                clock.advance(days=14)
        finally:
            done.set()

    await asyncio.gather(read(), read(), rotate())
    assert readings > 2


async def test_a_key_that_is_still_needed_is_not_destroyed(one: Any, tenant_id: TenantId, clock: Any) -> None:
    await one.vault.resolve(tenant_id, [user("ann")])
    old = epoch_of(clock())
    clock.advance(days=21)
    records = one.stores.records

    class HeldByAnother:
        def __getattr__(self, name: str) -> Any:
            return getattr(records, name)

        async def rewrap(self, *_: Any) -> int:
            return 0

    one.rotate._records = HeldByAnother()
    rotation = await one.rotate(tenant_id)
    assert (rotation.destroyed, rotation.still_needed) == ((), (old,))
    assert old in await one.stores.keks.keks(tenant_id)


async def test_token_keys_are_destroyed_with_their_retention(
    one: Any, instance: Make, tenant_id: TenantId, clock: Any
) -> None:
    old = (await one.keys.link_tokens(tenant_id)).of["card"]("4711")
    clock.advance(days=90)
    await one.keys.link_tokens(tenant_id)
    assert await one.rotate.destroy_tokens(tenant_id, "card", periods_kept=1) == 0
    assert await one.rotate.destroy_tokens(tenant_id, "card", periods_kept=0) == 1
    clock.advance(days=-90)
    remade = await instance().keys.link_tokens(tenant_id)
    assert remade.of["card"]("4711") != old
    with pytest.raises(ValueError, match="present period"):
        await one.rotate.destroy_tokens(tenant_id, "card", periods_kept=-1)
