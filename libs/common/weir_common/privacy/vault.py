"""The vault: who is who, and by which key their data are sealed.

Two places keep a subject's record: the database, durably; and this process (keys unwrapped, at most ``subjects`` of them). There is no
shared cache between them, since the statement that makes newcomers reads who is known, too (ADR 12). An erasure reaches every
process by the tenant's erasure mark: a number that the deleting transaction raises, and that every entry here was read under. It is
read again before ``mark_seconds`` are over, so no instance seals or opens by an erased key for longer than that and the time of one request
that was under way; if the database does not answer, for no longer than ``mark_seconds_without_answer``.
The price: after an erasure all of that tenant's entries are read again, one round trip a batch.
"""

from __future__ import annotations

import asyncio
import base64
import os
import time
from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.errors import KeyDestroyed, VaultUnavailable
from weir_common.privacy.identifiers import Identifier
from weir_common.privacy.ports import Subject, SubjectRecord, VaultRecords
from weir_common.privacy.recently_used import RecentlyUsed
from weir_common.privacy.subject_cipher import SubjectCipher
from weir_common.privacy.tenant_keys import TenantKeys
from weir_common.privacy.wrapping_key import KEY_BYTES

log = structlog.get_logger(__name__)

SUBJECT_PREFIX: Final = "sub_"
SUBJECT_BYTES: Final = 16
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_ATTEMPTS: Final = 3
_AHEAD: Final = 0.5
"""The part of a mark's time after which it is read again."""


@dataclass(frozen=True)
class VaultLimits:
    """How much this process keeps, and for how long it may not know of an erasure."""

    subjects: int = 100_000
    tenants: int = 10_000
    mark_seconds: float = 1.0
    mark_seconds_without_answer: float = 30.0


@dataclass(frozen=True, slots=True)
class _Mark:
    number: int
    read_at: float


class Vault:
    """`SubjectVault` over records; see the module for what is cached where."""

    def __init__(
        self,
        records: VaultRecords,
        keys: TenantKeys,
        limits: VaultLimits | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._keys = keys
        self._limits = limits or VaultLimits()
        self._monotonic = monotonic
        self._marks: RecentlyUsed[TenantId, _Mark] = RecentlyUsed(self._limits.tenants)
        self._reading: dict[TenantId, tuple[float, asyncio.Task[int]]] = {}
        self._kept: RecentlyUsed[tuple[TenantId, bytes], tuple[int, Subject]] = RecentlyUsed(self._limits.subjects)

    async def resolve(self, tenant_id: TenantId, identifiers: Sequence[Identifier]) -> Mapping[Identifier, Subject]:
        """See `SubjectVault.resolve`."""
        return await self._subjects(tenant_id, identifiers, make=True)

    async def find(self, tenant_id: TenantId, identifiers: Sequence[Identifier]) -> Mapping[Identifier, Subject]:
        """See `SubjectVault.find`."""
        return await self._subjects(tenant_id, identifiers, make=False)

    async def open_key(self, tenant_id: TenantId, subject_id: SubjectId) -> SubjectCipher:
        """See `SubjectVault.open_key`. Never from a cache: whoever opens many events keeps what this gives."""
        record = await self._records.subject(tenant_id, subject_id)
        if record is None:
            raise KeyDestroyed("no subject has this id")
        try:
            kek = await self._keys.kek(tenant_id, record.epoch)
        except KeyDestroyed:
            # A rotation may have moved it to a newer key since it was read, and destroyed the older one.
            record = await self._records.subject(tenant_id, subject_id)
            if record is None:
                raise
            kek = await self._keys.kek(tenant_id, record.epoch)
        return SubjectCipher(kek.unwrap(record.wrapped_key))

    async def erase(self, tenant_id: TenantId, subject_id: SubjectId) -> bool:
        """See `SubjectVault.erase`. Here at once; elsewhere as the module says."""
        erased = await self._records.erase(tenant_id, subject_id)
        self._marks.forget(tenant_id)
        # One that is being read may be that of before.
        self._reading.pop(tenant_id, None)
        return erased

    async def _subjects(
        self, tenant_id: TenantId, identifiers: Sequence[Identifier], *, make: bool
    ) -> dict[Identifier, Subject]:
        if not identifiers:
            return {}
        blind_index = await self._keys.blind_index(tenant_id)
        mark = await self._mark(tenant_id)
        found: dict[Identifier, Subject] = {}
        missing: dict[bytes, Identifier] = {}
        for identifier in identifiers:
            if identifier in found:
                continue
            index = blind_index.digest(identifier.encode())
            kept = self._kept.get((tenant_id, index))
            if kept is not None and kept[0] == mark:
                found[identifier] = kept[1]
            else:
                missing[index] = identifier
        if missing:
            for index, subject in (await self._read(tenant_id, list(missing), make)).items():
                found[missing[index]] = subject
                self._kept.put((tenant_id, index), (mark, subject))
        return found

    async def _mark(self, tenant_id: TenantId) -> int:
        """The tenant's erasure mark, not older than the limits say."""
        known = self._marks.get(tenant_id)
        now = self._monotonic()
        if known is not None and (age := now - known.read_at) < self._limits.mark_seconds:
            if age >= self._limits.mark_seconds * _AHEAD:
                # Read before it is too old, so that of a tenant that is busy nobody waits for it.
                self._mark_being_read(tenant_id, now)
            return known.number
        try:
            # Shielded: who asked first may be out of time while others still wait for the same answer.
            number = await asyncio.shield(self._mark_being_read(tenant_id, now))
        except VaultUnavailable as error:
            if known is None or now - known.read_at >= self._limits.mark_seconds_without_answer:
                raise
            log.warning("the erasure mark cannot be read, the last one is used", tenant_id=tenant_id, error=str(error))
            return known.number
        return number

    def _mark_being_read(self, tenant_id: TenantId, now: float) -> asyncio.Task[int]:
        """The reading of the mark that is under way if it began within ``mark_seconds``, else a new one.

        Otherwise a slow database would be asked by every batch that waits for it, and only become slower.
        """
        known = self._reading.get(tenant_id)
        if known is not None and now - known[0] < self._limits.mark_seconds:
            return known[1]

        async def read() -> int:
            newest = False
            try:
                number = await self._records.erasure_mark(tenant_id)
            finally:
                newest = self._reading.get(tenant_id) is reading
                if newest:
                    del self._reading[tenant_id]
            if newest:
                self._marks.put(tenant_id, _Mark(number, now))
            return number

        task = asyncio.create_task(read(), name="erasure mark")
        task.add_done_callback(_looked_at)
        reading = (now, task)
        self._reading[tenant_id] = reading
        return task

    async def _read(self, tenant_id: TenantId, indexes: list[bytes], make: bool) -> dict[bytes, Subject]:
        found: dict[bytes, Subject] = {}
        waiting = indexes
        for _ in range(_ATTEMPTS):
            if make:
                records, ours = await self._added(tenant_id, waiting)
            else:
                records, ours = await self._records.subjects(tenant_id, waiting), {}
            readable = 0
            for record in records:
                # One whose key is destroyed was re-wrapped since it was read: next time it is the newer one.
                if (subject := await self._opened(tenant_id, record, ours)) is not None:
                    found[record.blind_index] = subject
                    readable += 1
            waiting = [index for index in waiting if index not in found]
            if not waiting or (not make and readable == len(records)):
                return found
        # Erased or re-wrapped each time at the very moment at which it was read.
        raise VaultUnavailable(f"{len(waiting)} subjects could not be read in {_ATTEMPTS} attempts")

    async def _added(
        self, tenant_id: TenantId, indexes: list[bytes]
    ) -> tuple[Sequence[SubjectRecord], Mapping[bytes, bytes]]:
        """Of each index its record, and the keys of those that were offered now, by what wraps them."""
        epoch, kek = await self._keys.current(tenant_id)
        # Sorted, so that two instances with the same newcomers never wait for each other in a ring.
        drafts = {
            index: (unpacked_subject(os.urandom(SUBJECT_BYTES)), os.urandom(KEY_BYTES)) for index in sorted(indexes)
        }
        records = [
            SubjectRecord(index, subject_id, epoch, kek.wrap(key)) for index, (subject_id, key) in drafts.items()
        ]
        ours = {record.wrapped_key: drafts[record.blind_index][1] for record in records}
        return await self._records.add_subjects(tenant_id, records), ours

    async def _opened(self, tenant_id: TenantId, record: SubjectRecord, ours: Mapping[bytes, bytes]) -> Subject | None:
        """None if its key cannot be read. ``ours``: keys that are known already, since they were made here, just now."""
        key = ours.get(record.wrapped_key)
        if key is not None:
            return Subject(record.subject_id, SubjectCipher(key))
        try:
            kek = await self._keys.kek(tenant_id, record.epoch)
        except KeyDestroyed:
            return None
        return Subject(record.subject_id, SubjectCipher(kek.unwrap(record.wrapped_key)))


def _looked_at(task: asyncio.Task[int]) -> None:
    """Whoever waited has the error; nobody may wait any more, which is no fault."""
    if not task.cancelled():
        task.exception()


def packed_subject(subject_id: SubjectId) -> bytes:
    """The 16 bytes of a subject id. `ValueError` for what the vault did not make."""
    prefix, name = subject_id[: len(SUBJECT_PREFIX)], subject_id[len(SUBJECT_PREFIX) :]
    packed = a2b_base64(name.encode().translate(_STANDARD) + b"==")
    if prefix != SUBJECT_PREFIX or len(packed) != SUBJECT_BYTES:
        raise ValueError("not an id of a subject")
    return packed


def unpacked_subject(packed: bytes) -> SubjectId:
    """The inverse of `packed_subject`."""
    return SubjectId(SUBJECT_PREFIX + base64.urlsafe_b64encode(packed).rstrip(b"=").decode())
