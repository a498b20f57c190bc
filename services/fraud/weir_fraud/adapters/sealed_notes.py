"""Notes of analysts under the keys of the vault: `Notes`.

A note is a text about a person, so it goes the way of all that must be erasable (ADR 12): sealed under that person's key, nowhere in the
open. A payment about nobody whom a request could name has the key that all such events of the tenant share for a day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from weir_common.ids import EventId, SubjectId, TenantId
from weir_common.privacy.card_numbers import without_card_numbers
from weir_common.privacy.errors import KeyDestroyed, VaultUnavailable
from weir_common.privacy.identifiers import nobody
from weir_common.privacy.ports import Subject, SubjectVault
from weir_common.privacy.subject_cipher import SubjectCipher
from weir_common.privacy.vault import SUBJECT_PREFIX

from weir_fraud.domain.review_case import SealedNote


class SealedNotes:
    """See `Notes`."""

    def __init__(self, vault: SubjectVault, clock: Callable[[], datetime], *, timeout_seconds: float) -> None:
        self._vault = vault
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    async def close(self, tenant_id: TenantId, event_id: EventId, subject: SubjectId, text: str) -> SealedNote:
        """See `Notes.close`."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                whose = await self._subject(tenant_id, subject)
        except TimeoutError as error:
            raise self._away() from error
        plaintext = without_card_numbers(text).encode()
        return SealedNote(whose.subject_id, whose.cipher.seal(tenant_id, UUID(event_id).bytes, plaintext))

    async def open(self, tenant_id: TenantId, event_id: EventId, notes: Sequence[SealedNote]) -> list[str | None]:
        """See `Notes.open`."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                ciphers = {
                    key_id: await self._cipher(tenant_id, SubjectId(key_id))
                    for key_id in {note.key_id for note in notes}
                }
        except TimeoutError as error:
            raise self._away() from error
        texts: list[str | None] = []
        for note in notes:
            cipher = ciphers[note.key_id]
            texts.append(None if cipher is None else cipher.open(tenant_id, UUID(event_id).bytes, note.sealed).decode())
        return texts

    async def _subject(self, tenant_id: TenantId, subject: SubjectId) -> Subject:
        if subject.startswith(SUBJECT_PREFIX):
            return Subject(subject, await self._vault.open_key(tenant_id, subject))
        whoever = nobody(self._clock())
        try:
            return (await self._vault.resolve(tenant_id, [whoever]))[whoever]
        except KeyDestroyed as error:
            # Nobody is never erased: a rotation destroyed the older of the tenant's keys while it was read.
            raise VaultUnavailable("the tenant's keys were rotated while they were read") from error

    async def _cipher(self, tenant_id: TenantId, key_id: SubjectId) -> SubjectCipher | None:
        try:
            return await self._vault.open_key(tenant_id, key_id)
        except KeyDestroyed:
            return None

    def _away(self) -> VaultUnavailable:
        return VaultUnavailable(f"the vault did not answer in {self._timeout_seconds} s")
