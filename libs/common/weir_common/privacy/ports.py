"""What sealing needs of the outside: a vault of subjects, and what that keeps its records in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.identifiers import Identifier
from weir_common.privacy.subject_cipher import SubjectCipher


class Subject(msgspec.Struct, frozen=True, gc=False):
    """One subject of a tenant: the random id that stands on the log, and what seals under its key."""

    subject_id: SubjectId
    cipher: SubjectCipher


class SubjectVault(Protocol):
    """Who is who, and by which key their data are sealed. Every method may raise `VaultUnavailable`."""

    async def resolve(self, tenant_id: TenantId, identifiers: Sequence[Identifier]) -> Mapping[Identifier, Subject]:
        """The subject of each identifier; who is not known gets one, durably, before this returns.

        One round trip a batch at most. The same identifier gives every instance the same subject, until it is erased.
        """

    async def find(self, tenant_id: TenantId, identifiers: Sequence[Identifier]) -> Mapping[Identifier, Subject]:
        """As `resolve`, without those that are not known."""

    async def open_key(self, tenant_id: TenantId, subject_id: SubjectId) -> SubjectCipher:
        """The key of a subject on the log. `KeyDestroyed` if it was erased or never was."""

    async def erase(self, tenant_id: TenantId, subject_id: SubjectId) -> bool:
        """Destroy the key and all that links the subject to a person; whether there was one. May be repeated."""


class SubjectRecord(msgspec.Struct, frozen=True, gc=False):
    """A row of the vault: 32 bytes blind index, the key wrapped by the tenant's key of ``epoch``, 40 bytes."""

    blind_index: bytes
    subject_id: SubjectId
    epoch: int
    wrapped_key: bytes

    def __repr__(self) -> str:
        return f"SubjectRecord({self.subject_id}, epoch={self.epoch})"


class WrappedTenantKey(msgspec.Struct, frozen=True, gc=False):
    """A key of the tenant for one purpose and period, wrapped by its key of ``epoch``."""

    purpose: str
    period: int
    epoch: int
    wrapped_key: bytes

    def __repr__(self) -> str:
        return f"WrappedTenantKey({self.purpose}, period={self.period}, epoch={self.epoch})"


class KekRecords(Protocol):
    """The tenants' keys by epoch, wrapped by the root key. `VaultUnavailable` if they cannot be had.

    Apart from the other records, because destroying one must reach every copy: they may stand in a database of their own
    that has no backups.
    """

    async def keks(self, tenant_id: TenantId) -> Mapping[int, bytes]:
        """All of a tenant, by epoch."""

    async def add_kek(self, tenant_id: TenantId, epoch: int, wrapped: bytes) -> bytes:
        """Keep it, durably, unless the epoch has one; gives the one that it has."""

    async def destroy_kek(self, tenant_id: TenantId, epoch: int) -> bool:
        """Delete it; whether there was one."""


class VaultRecords(Protocol):
    """Subjects and the tenant's other keys. `VaultUnavailable` if they cannot be had."""

    async def add_subjects(self, tenant_id: TenantId, drafts: Sequence[SubjectRecord]) -> Sequence[SubjectRecord]:
        """Keep, durably and in one round trip, each whose blind index is new; gives what now stands there, in any order.

        One that is erased at the same moment may be missing.
        """

    async def subjects(self, tenant_id: TenantId, blind_indexes: Sequence[bytes]) -> Sequence[SubjectRecord]:
        """Those that there are, in any order."""

    async def subject(self, tenant_id: TenantId, subject_id: SubjectId) -> SubjectRecord | None:
        """The record of a subject."""

    async def erase(self, tenant_id: TenantId, subject_id: SubjectId) -> bool:
        """Delete the record and raise the tenant's erasure mark, together; whether there was one."""

    async def erasure_mark(self, tenant_id: TenantId) -> int:
        """A number that every erasure raises; 0 if there was none."""

    async def add_tenant_keys(
        self, tenant_id: TenantId, drafts: Sequence[WrappedTenantKey]
    ) -> Sequence[WrappedTenantKey]:
        """Keep, durably, each whose purpose and period are new; gives what now stands there, in any order."""

    async def tenant_keys(self, tenant_id: TenantId, period: int) -> Sequence[WrappedTenantKey]:
        """All of one period."""

    async def destroy_tenant_keys(self, tenant_id: TenantId, purpose: str, before_period: int) -> int:
        """Delete those of a purpose whose period is over; how many."""

    async def rewrap(
        self, tenant_id: TenantId, before_epoch: int, limit: int, rewrapped: Callable[[int, bytes], tuple[int, bytes]]
    ) -> int:
        """Replace epoch and wrapped key of at most ``limit`` records and keys of older epochs, in one transaction; how many.

        Records that another rotation works on are left to it. ``rewrapped`` does no input or output.
        """

    async def uses_epoch(self, tenant_id: TenantId, epoch: int) -> bool:
        """Whether anything is still wrapped by the tenant's key of an epoch."""
