"""Protect what the lists name exactly as the events' own identifiers are, so that a payment's protected identities can be compared.

Users and visitors become subject ids of the vault, which stay until the person is erased. Devices and payment tokens become link tokens,
whose keys change every 90 days and are destroyed later: an entry holds the tokens of this period and of the next one, and expires
when the next one ends. Later nobody could tell that a payment has it, so no entry claims to be in force then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from weir_common.events.privacy import Namespace
from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.errors import KeyDestroyed, VaultUnavailable
from weir_common.privacy.identifiers import Identifier, user, visitor
from weir_common.privacy.link_tokens import LinkTokens
from weir_common.privacy.periods import token_period_begins
from weir_common.privacy.ports import SubjectVault

from weir_fraud.domain.policy import EntityKind, Entry, ListKind, Policy
from weir_fraud.read_policy import Faults, PolicyEntry, WrittenPolicy

BATCH: Final = 500
"""Subjects that the vault is asked for at once."""
_A_STEP: Final = 200
"""Entries, about a millisecond; then the others of the loop have their turn."""
_SECONDS: Final = 5.0
"""For one batch; the vault has its own deadlines, too."""

_IDENTIFIER: Final[Mapping[EntityKind, Callable[[str], Identifier]]] = {
    EntityKind.USER: user,
    EntityKind.VISITOR: visitor,
}
NAMESPACE: Final[Mapping[EntityKind, Namespace]] = {EntityKind.DEVICE: "device", EntityKind.PAYMENT_TOKEN: "card"}
"""Kinds that are link tokens."""


class LinkTokenKeys(Protocol):
    """`TenantKeys` is one. May raise `VaultUnavailable`."""

    async def link_tokens(self, tenant_id: TenantId) -> LinkTokens:
        """Those of the present period."""

    async def link_tokens_to_come(self, tenant_id: TenantId) -> LinkTokens:
        """Those of the next one."""


class ProtectLists:
    """The use case. `VaultUnavailable` (retry)."""

    def __init__(self, vault: SubjectVault, keys: LinkTokenKeys) -> None:
        self._vault = vault
        self._keys = keys

    async def __call__(
        self,
        tenant_id: TenantId,
        written: WrittenPolicy,
        known: Iterable[Entry],
        *,
        now: datetime,
        make: bool = True,
        prefix: str = "",
    ) -> Policy:
        """The policy, protected. `known` are the entries whose protected values may be sent back.

        Without ``make`` nothing is made in the vault: whom nobody knows is named by nothing, and such an entry is left out.
        `InvalidRequest` for values that are not known and expiries that cannot be kept.
        """
        faults = Faults(prefix)
        kept = {(entry.kind, entry.protected): entry for entry in known}
        subjects = await self._subjects(tenant_id, [*written.deny, *written.allow], make)
        tokens = await self._tokens(tenant_id) if _needs_tokens(written) else None
        lists: dict[ListKind, tuple[Entry, ...]] = {}
        for kind in ListKind:
            entries: list[Entry] = []
            for place, entry in enumerate(written.list_of(kind)):
                if place % _A_STEP == _A_STEP - 1:
                    await asyncio.sleep(0)
                at = f"/{kind.value}/{place}"
                if entry.protected is not None:
                    earlier = kept.get((entry.kind, entry.protected))
                    if earlier is None:
                        faults.add(
                            f"{at}/protected",
                            "values that the draft or the version in force shows",
                            "others: send value",
                        )
                        continue
                    protected, until = earlier.protected, earlier.recognised_until
                else:
                    found = _protected(entry, subjects, tokens)
                    if found is None:
                        continue
                    protected, until = found
                    if entry.expires_at is not None and entry.expires_at <= now:
                        faults.add(f"{at}/expires_at", "a time to come", entry.expires_at.isoformat())
                if until is not None and entry.expires_at is not None and entry.expires_at > until:
                    faults.add(
                        f"{at}/expires_at",
                        f"at most {until.isoformat()}, until when it can be recognised",
                        entry.expires_at.isoformat(),
                    )
                entries.append(
                    Entry(
                        kind=entry.kind,
                        protected=protected,
                        reason=entry.reason,
                        expires_at=entry.expires_at or until,
                        recognised_until=until,
                    )
                )
            _each_once(entries, kind, faults)
            lists[kind] = tuple(entries)
        faults.raise_if_any()
        return Policy(
            thresholds=written.thresholds,
            allow=lists[ListKind.ALLOW],
            deny=lists[ListKind.DENY],
            rules=written.rules,
            decline_corridor=written.decline_corridor,
        )

    async def _subjects(
        self, tenant_id: TenantId, entries: Sequence[PolicyEntry], make: bool
    ) -> dict[Identifier, SubjectId]:
        wanted = [
            _IDENTIFIER[entry.kind](entry.value)
            for entry in entries
            if entry.value is not None and entry.kind in _IDENTIFIER
        ]
        ask = self._vault.resolve if make else self._vault.find
        found: dict[Identifier, SubjectId] = {}
        for start in range(0, len(wanted), BATCH):
            try:
                async with asyncio.timeout(_SECONDS):
                    subjects = await ask(tenant_id, wanted[start : start + BATCH])
            except (TimeoutError, KeyDestroyed) as error:
                raise VaultUnavailable("the vault did not say who the lists name") from error
            found |= {identifier: subject.subject_id for identifier, subject in subjects.items()}
        return found

    async def _tokens(self, tenant_id: TenantId) -> tuple[LinkTokens, LinkTokens]:
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._keys.link_tokens(tenant_id), await self._keys.link_tokens_to_come(tenant_id)
        except (TimeoutError, KeyDestroyed) as error:
            raise VaultUnavailable("the vault did not give the keys of link tokens") from error


def _needs_tokens(written: WrittenPolicy) -> bool:
    return any(entry.value is not None and entry.kind in NAMESPACE for entry in (*written.deny, *written.allow))


def _protected(
    entry: PolicyEntry, subjects: Mapping[Identifier, SubjectId], tokens: tuple[LinkTokens, LinkTokens] | None
) -> tuple[tuple[str, ...], datetime | None] | None:
    """The protected values and until when they say something; None for a person whom nobody knows."""
    value = entry.value or ""
    if entry.kind in _IDENTIFIER:
        subject = subjects.get(_IDENTIFIER[entry.kind](value))
        return None if subject is None else ((subject,), None)
    if entry.kind in NAMESPACE and tokens is not None:
        now, to_come = tokens
        namespace = NAMESPACE[entry.kind]
        return (now.of[namespace](value), to_come.of[namespace](value)), token_period_begins(to_come.period + 1)
    return (value,), None


def _each_once(entries: Sequence[Entry], kind: ListKind, faults: Faults) -> None:
    """Also when one is named raw and again as it was read."""
    seen: set[tuple[EntityKind, str]] = set()
    for entry in entries:
        for value in entry.protected:
            if (entry.kind, value) in seen:
                faults.add(f"/{kind.value}", "each entity once", f"one {entry.kind.value} twice")
            seen.add((entry.kind, value))
