"""Keys are replaced week by week and destroyed after two; a tenant whose vault does not answer waits for the next time."""

from datetime import UTC, datetime, timedelta

from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.privacy.errors import VaultUnavailable
from weir_common.privacy.identifiers import user
from weir_common.privacy.link_tokens import NAMESPACES
from weir_common.privacy.rotate import Rotation
from weir_compliance.rotate_keys import RotateKeys

ONE, TWO = TenantId("shop-1"), TenantId("shop-2")


async def no_tokens(tenant_id: TenantId) -> int:
    return 0


async def test_an_old_key_is_destroyed_and_who_was_sealed_under_it_is_still_known() -> None:
    now = datetime(2026, 11, 29, tzinfo=UTC)
    vault = vault_in_memory(lambda: now)
    before = await vault.vault.resolve(ONE, [user("ann")])
    made: list[Rotation] = []

    async def rotate(tenant_id: TenantId) -> Rotation:
        made.append(await vault.rotate(tenant_id))
        return made[-1]

    keys = RotateKeys(rotate, no_tokens, lambda: [ONE])
    for _ in range(3):
        now += timedelta(days=7)
        assert await keys.sweep() == []
    assert [rotation.rewrapped > 0 for rotation in made] == [True, True, True]
    assert [len(rotation.destroyed) for rotation in made] == [0, 1, 1]
    assert await vault.vault.open_key(ONE, before[user("ann")].subject_id)
    assert (await vault.vault.find(ONE, [user("ann")]))[user("ann")].subject_id == before[user("ann")].subject_id


async def test_a_vault_that_does_not_answer_for_one_tenant_does_not_keep_the_others() -> None:
    vault = vault_in_memory()
    rotated: list[TenantId] = []

    async def rotate(tenant_id: TenantId) -> Rotation:
        if tenant_id == ONE:
            raise VaultUnavailable("away")
        rotated.append(tenant_id)
        return await vault.rotate(tenant_id)

    assert await RotateKeys(rotate, no_tokens, lambda: [ONE, TWO]).sweep() == [ONE]
    assert rotated == [TWO]


async def test_the_keys_of_tokens_are_destroyed_when_their_retention_is_over() -> None:
    now = datetime(2026, 1, 10, tzinfo=UTC)
    vault = vault_in_memory(lambda: now)
    destroyed: list[int] = []

    async def destroy(tenant_id: TenantId) -> int:
        destroyed.append(await vault.rotate.destroy_old_tokens(tenant_id, periods_kept=2))
        return destroyed[-1]

    keys = RotateKeys(vault.rotate, destroy, lambda: [ONE])
    tokens = []
    for _ in range(4):
        tokens.append((await vault.keys.link_tokens(ONE)).of["card"]("4111-by-its-fingerprint"))
        assert await keys.sweep() == []
        now += timedelta(days=90)
    assert len(set(tokens)) == 4, "the same card is another token in each period"
    assert destroyed == [0, 0, 0, len(NAMESPACES)], "the first period's, two periods after its own"
