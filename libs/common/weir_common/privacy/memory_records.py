"""The vault's records in memory: for tests and for trying things out. What is here is gone with the process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.ports import SubjectRecord, WrappedTenantKey


class MemoryKeks:
    """See `KekRecords`."""

    def __init__(self) -> None:
        self._keks: dict[TenantId, dict[int, bytes]] = defaultdict(dict)

    async def keks(self, tenant_id: TenantId) -> Mapping[int, bytes]:
        return dict(self._keks[tenant_id])

    async def add_kek(self, tenant_id: TenantId, epoch: int, wrapped: bytes) -> bytes:
        return self._keks[tenant_id].setdefault(epoch, wrapped)

    async def destroy_kek(self, tenant_id: TenantId, epoch: int) -> bool:
        return self._keks[tenant_id].pop(epoch, None) is not None


class MemoryRecords:
    """See `VaultRecords`."""

    def __init__(self) -> None:
        self._subjects: dict[TenantId, dict[bytes, SubjectRecord]] = defaultdict(dict)
        self._keys: dict[TenantId, dict[tuple[str, int], WrappedTenantKey]] = defaultdict(dict)
        self._marks: dict[TenantId, int] = defaultdict(int)

    async def add_subjects(self, tenant_id: TenantId, drafts: Sequence[SubjectRecord]) -> Sequence[SubjectRecord]:
        rows = self._subjects[tenant_id]
        return [rows.setdefault(draft.blind_index, draft) for draft in drafts]

    async def subjects(self, tenant_id: TenantId, blind_indexes: Sequence[bytes]) -> Sequence[SubjectRecord]:
        rows = self._subjects[tenant_id]
        return [rows[index] for index in blind_indexes if index in rows]

    async def subject(self, tenant_id: TenantId, subject_id: SubjectId) -> SubjectRecord | None:
        rows = self._subjects[tenant_id].values()
        return next((row for row in rows if row.subject_id == subject_id), None)

    async def erase(self, tenant_id: TenantId, subject_id: SubjectId) -> bool:
        row = await self.subject(tenant_id, subject_id)
        if row is None:
            return False
        del self._subjects[tenant_id][row.blind_index]
        self._marks[tenant_id] += 1
        return True

    async def erasure_mark(self, tenant_id: TenantId) -> int:
        return self._marks[tenant_id]

    async def add_tenant_keys(
        self, tenant_id: TenantId, drafts: Sequence[WrappedTenantKey]
    ) -> Sequence[WrappedTenantKey]:
        rows = self._keys[tenant_id]
        return [rows.setdefault((draft.purpose, draft.period), draft) for draft in drafts]

    async def tenant_keys(self, tenant_id: TenantId, period: int) -> Sequence[WrappedTenantKey]:
        return [key for key in self._keys[tenant_id].values() if key.period == period]

    async def destroy_tenant_keys(self, tenant_id: TenantId, purpose: str, before_period: int) -> int:
        rows = self._keys[tenant_id]
        over = [place for place in rows if place[0] == purpose and place[1] < before_period]
        for place in over:
            del rows[place]
        return len(over)

    async def rewrap(
        self, tenant_id: TenantId, before_epoch: int, limit: int, rewrapped: Callable[[int, bytes], tuple[int, bytes]]
    ) -> int:
        subjects, keys = self._subjects[tenant_id], self._keys[tenant_id]
        old_keys = [(place, key) for place, key in keys.items() if key.epoch < before_epoch][:limit]
        for place, key in old_keys:
            epoch, wrapped = rewrapped(key.epoch, key.wrapped_key)
            keys[place] = msgspec.structs.replace(key, epoch=epoch, wrapped_key=wrapped)
        old = [row for row in subjects.values() if row.epoch < before_epoch][: limit - len(old_keys)]
        for row in old:
            epoch, wrapped = rewrapped(row.epoch, row.wrapped_key)
            subjects[row.blind_index] = msgspec.structs.replace(row, epoch=epoch, wrapped_key=wrapped)
        return len(old) + len(old_keys)

    async def uses_epoch(self, tenant_id: TenantId, epoch: int) -> bool:
        rows: Iterable[SubjectRecord | WrappedTenantKey] = [
            *self._subjects[tenant_id].values(),
            *self._keys[tenant_id].values(),
        ]
        return any(row.epoch == epoch for row in rows)
