"""A batch is protected in one question to the vault, in order, or not at all."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from weir_common.events import Event, decode_event, encode_event
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory
from weir_common.privacy.errors import KeyDestroyed, VaultUnavailable
from weir_common.privacy.identifiers import Identifier
from weir_common.privacy.link_tokens import LinkTokens
from weir_common.privacy.ports import Subject
from weir_common.privacy.protect_events import ProtectEvents

SHOP = TenantId("shop-1")


class Watched:
    """A vault and its keys in memory that count, dawdle and fail."""

    def __init__(self) -> None:
        self._opened = vault_in_memory()
        self.asked: list[Sequence[Identifier]] = []
        self.seconds = 0.0
        self.fault: Exception | None = None

    async def resolve(self, tenant_id: TenantId, identifiers: Sequence[Identifier]) -> Mapping[Identifier, Subject]:
        self.asked.append(identifiers)
        await asyncio.sleep(self.seconds)
        if self.fault is not None:
            raise self.fault
        return await self._opened.vault.resolve(tenant_id, identifiers)

    async def link_tokens(self, tenant_id: TenantId) -> LinkTokens:
        return await self._opened.keys.link_tokens(tenant_id)


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def protect(watched: Watched) -> ProtectEvents:
    return ProtectEvents(watched, watched, lambda: datetime(2026, 11, 29, tzinfo=UTC), timeout_seconds=0.05)  # type: ignore[arg-type]


def event(user_id: str | None) -> Event:
    document = {
        "schema_version": "2.2",
        "tenant_id": SHOP,
        "event_metadata": {
            "event_id": str(uuid.uuid4()),
            "timestamp": "2026-01-15T10:30:00Z",
            "source_system": "web_app",
        },
        "event_data": {"event_type": "user_interaction", "event_subtype": "page_view"},
    }
    if user_id is not None:
        document["event_data"]["user_context"] = {"user_id": user_id}  # type: ignore[index]
    return decode_event(msgspec.json.encode(document)).event


async def test_a_batch_is_one_question_and_keeps_its_order(watched: Watched, protect: ProtectEvents) -> None:
    events = [event("ann-4711-user"), event("ben-4711-user"), event(None), event("ann-4711-user")]
    protected = await protect(SHOP, events)
    assert [one.event_metadata.event_id for one in protected] == [one.event_metadata.event_id for one in events]
    assert len(watched.asked) == 1
    users = [one.event_data.user_context and one.event_data.user_context.user_id for one in protected]
    assert users[0] == users[3] != users[1]
    assert users[2] is None
    assert not any(name in encode_event(one) for one in protected for name in (b"ann-4711", b"ben-4711"))
    assert encode_event(events[0]).count(b"ann-4711") == 1, "what came in stays as it is"


async def test_nothing_asks_nobody(watched: Watched, protect: ProtectEvents) -> None:
    assert await protect(SHOP, []) == []
    assert watched.asked == []


@pytest.mark.parametrize("fault", [VaultUnavailable("away"), KeyDestroyed("rotated")])
async def test_a_vault_that_cannot_answer_now_can_be_asked_again(
    watched: Watched, protect: ProtectEvents, fault: Exception
) -> None:
    watched.fault = fault
    with pytest.raises(VaultUnavailable):
        await protect(SHOP, [event("ann-4711-user")])
    watched.fault = None
    assert len(await protect(SHOP, [event("ann-4711-user")])) == 1


async def test_it_waits_no_longer_than_it_may(watched: Watched, protect: ProtectEvents) -> None:
    watched.seconds = 60
    with pytest.raises(VaultUnavailable):
        await protect(SHOP, [event("ann-4711-user")])
