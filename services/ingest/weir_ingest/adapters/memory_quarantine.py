"""The quarantine in memory, for tests; same contract as the one in PostgreSQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from weir_common.ids import TenantId

from weir_ingest.domain.quarantine import HeldEvent, HeldState, ReasonTotal, RefusedEvent, Selection, storable


class MemoryQuarantine:
    """See ``QuarantineStore`` and ``RefusedWriter``."""

    def __init__(self, *, retention: timedelta = timedelta(days=14)) -> None:
        self._retention = retention
        self._events: dict[TenantId, dict[UUID, HeldEvent]] = defaultdict(dict)
        self._subjects: dict[tuple[TenantId, UUID], list[bytes]] = {}

    async def write(self, tenant_id: TenantId, refused: Sequence[RefusedEvent]) -> None:
        """See ``RefusedWriter.write``."""
        for event in refused:
            known = self._events[tenant_id].get(event.quarantine_id)
            first = known.first_refused_at if known is not None else event.refused_at
            last = max(known.last_refused_at, event.refused_at) if known is not None else event.refused_at
            self._subjects[tenant_id, event.quarantine_id] = event.subjects
            self._events[tenant_id][event.quarantine_id] = HeldEvent(
                quarantine_id=event.quarantine_id,
                state=HeldState.HELD,
                event_id=event.event_id,
                event_type=event.event_type,
                schema_version=event.schema_version,
                reasons=event.reasons,
                size=event.size,
                seen=known.seen + 1 if known is not None else 1,
                first_refused_at=first,
                last_refused_at=last,
                expires_at=last + self._retention,
                sealed=event.sealed,
            )

    async def page(
        self,
        tenant_id: TenantId,
        selection: Selection,
        *,
        states: Sequence[HeldState],
        after: tuple[datetime, UUID] | None,
        limit: int,
    ) -> list[HeldEvent]:
        """See ``QuarantineStore.page``."""
        found = [event for event in self._of(tenant_id, selection) if event.state in states]
        found.sort(key=_last, reverse=True)
        return [
            msgspec.structs.replace(event, sealed=None) for event in found if after is None or _last(event) < after
        ][:limit]

    async def get(self, tenant_id: TenantId, quarantine_id: UUID) -> HeldEvent | None:
        """See ``QuarantineStore.get``."""
        return self._events[tenant_id].get(quarantine_id)

    async def held(self, tenant_id: TenantId, selection: Selection, *, limit: int) -> list[HeldEvent]:
        """See ``QuarantineStore.held``."""
        found = [event for event in self._of(tenant_id, selection) if event.state is HeldState.HELD]
        return sorted(found, key=_first)[:limit]

    async def of_subjects(self, tenant_id: TenantId, subjects: Sequence[bytes], *, limit: int) -> list[HeldEvent]:
        """See ``QuarantineStore.of_subjects``."""
        wanted = set(subjects)
        found = [
            event
            for event in self._events[tenant_id].values()
            if event.state is HeldState.HELD and wanted & set(self._subjects[tenant_id, event.quarantine_id])
        ]
        return sorted(found, key=_first)[:limit]

    async def reasons(self, tenant_id: TenantId, *, limit: int) -> list[ReasonTotal]:
        """See ``QuarantineStore.reasons``."""
        by_reason: dict[tuple[str, str], list[HeldEvent]] = defaultdict(list)
        for event in self._events[tenant_id].values():
            if event.state is HeldState.HELD:
                for reason in event.reasons:
                    by_reason[reason.pointer, reason.expected].append(event)
        totals = [
            ReasonTotal(
                pointer=pointer,
                expected=expected,
                entries=len(events),
                events=sum(event.seen for event in events),
                first_refused_at=min(event.first_refused_at for event in events),
                last_refused_at=max(event.last_refused_at for event in events),
            )
            for (pointer, expected), events in by_reason.items()
        ]
        return sorted(totals, key=lambda total: (-total.events, total.pointer, total.expected))[:limit]

    async def settle(self, tenant_id: TenantId, quarantine_ids: Sequence[UUID], state: HeldState) -> int:
        """See ``QuarantineStore.settle``."""
        done = 0
        for quarantine_id in quarantine_ids:
            event = self._events[tenant_id].get(quarantine_id)
            if event is not None and event.state is HeldState.HELD:
                self._events[tenant_id][quarantine_id] = msgspec.structs.replace(event, state=state, sealed=None)
                done += 1
        return done

    async def usage(self, tenant_id: TenantId, *, at_most: int) -> tuple[int, int]:
        """See ``QuarantineStore.usage``."""
        held = [event.size for event in self._events[tenant_id].values() if event.state is HeldState.HELD][:at_most]
        return len(held), sum(held)

    async def forget(self, tenant_id: TenantId, now: datetime, *, limit: int) -> int:
        """See ``QuarantineStore.forget``."""
        expired = [event.quarantine_id for event in self._events[tenant_id].values() if event.expires_at < now][:limit]
        for quarantine_id in expired:
            del self._events[tenant_id][quarantine_id]
        return len(expired)

    def _of(self, tenant_id: TenantId, selection: Selection) -> list[HeldEvent]:
        return [event for event in self._events[tenant_id].values() if _selected(event, selection)]


def _selected(event: HeldEvent, selection: Selection) -> bool:
    wanted = selection
    reason_fits = (wanted.pointer is None and wanted.expected is None) or any(
        (wanted.pointer is None or storable(wanted.pointer) == reason.pointer)
        and (wanted.expected is None or storable(wanted.expected) == reason.expected)
        for reason in event.reasons
    )
    return (
        reason_fits
        and (wanted.quarantine_ids is None or event.quarantine_id in wanted.quarantine_ids)
        and (wanted.event_type is None or event.event_type == wanted.event_type)
        and (wanted.since is None or event.last_refused_at >= wanted.since)
        and (wanted.until is None or event.last_refused_at < wanted.until)
    )


def _last(event: HeldEvent) -> tuple[datetime, UUID]:
    return event.last_refused_at, event.quarantine_id


def _first(event: HeldEvent) -> tuple[datetime, UUID]:
    return event.first_refused_at, event.quarantine_id
