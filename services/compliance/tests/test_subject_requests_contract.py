"""What every store of subject requests must do: the fake and PostgreSQL."""

import dataclasses
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from weir_common.audit import AuditEntry
from weir_common.ids import TenantId, uuid7
from weir_compliance.domain.manifest import StoreReceipt
from weir_compliance.domain.request_state import IllegalTransitionError, RequestState, StoreState
from weir_compliance.domain.subject import Subject
from weir_compliance.domain.subject_request import KeyState, NewRequest, Particulars
from weir_compliance.errors import RequestGoneError
from weir_compliance.ports import Fulfilment

Make = Callable[..., NewRequest]
Entry = Callable[..., AuditEntry]


def fulfilment(request: NewRequest, clock: Any, identity: str | None = "AGE-SECRET-KEY-1") -> Fulfilment:
    return Fulfilment(
        tenant_id=request.tenant_id,
        request_id=request.request_id,
        archive_identity=identity,
        archive_bytes=10,
        archive_sha256=b"s" * 32,
        manifest=b'{"a": 1}',
        at=clock(),
        link_expires_at=clock() + timedelta(days=7),
    )


async def planned(requests: Any, request: NewRequest, audit: AuditEntry) -> None:
    await requests.receive(request, audit)
    await requests.plan(request.tenant_id, request.request_id, ["fraud", "ingest"], "staging-secret")


async def test_what_is_received_is_found_whole(requests: Any, new_request: Make, audit_entry: Entry) -> None:
    new = new_request(recipient="age1abc")
    received = await requests.receive(new, audit_entry())
    assert received.created
    found = await requests.find(new.tenant_id, new.request_id)
    assert found == received.request
    assert found.particulars == new.particulars
    assert (found.state, found.key_state, found.recipient) == (RequestState.RECEIVED, KeyState.RECIPIENT, "age1abc")
    assert (found.received_at, found.due_at, found.body_digest) == (new.received_at, new.due_at, new.body_digest)
    assert found.archive is None
    assert found.tasks == {}


async def test_another_tenant_does_not_see_it(requests: Any, new_request: Make, audit_entry: Entry) -> None:
    new = new_request()
    await requests.receive(new, audit_entry())
    stranger = TenantId(new.tenant_id + "-other")
    assert await requests.find(stranger, new.request_id) is None
    assert list(await requests.of_subject(stranger, new.particulars.subject)) == []


async def test_an_idempotency_key_gives_the_first_request_again(
    requests: Any, new_request: Make, audit_entry: Entry
) -> None:
    first = new_request(idempotency_key="once")
    await requests.receive(first, audit_entry())
    again = await requests.receive(new_request(idempotency_key="once"), audit_entry())
    assert not again.created
    assert again.request.request_id == first.request_id
    other_tenant = new_request(idempotency_key="once", tenant_id=TenantId(first.tenant_id + "-other"))
    assert (await requests.receive(other_tenant, audit_entry())).created


async def test_without_an_idempotency_key_each_is_a_new_one(
    requests: Any, new_request: Make, audit_entry: Entry
) -> None:
    assert (await requests.receive(new_request(), audit_entry())).created
    assert (await requests.receive(new_request(), audit_entry())).created


async def test_requests_are_found_by_any_identifier_of_their_subject(
    requests: Any, new_request: Make, audit_entry: Entry, tenant_id: TenantId, clock: Any
) -> None:
    first = new_request(particulars=Particulars(Subject(("ann",), ("cookie-1", "cookie-2")), "", ""))
    clock.advance(seconds=1)
    second = new_request(particulars=Particulars(Subject((), ("cookie-2",)), "", ""), received_at=clock())
    other = new_request(particulars=Particulars(Subject(("cookie-2",)), "", ""))
    for one in (first, second, other):
        await requests.receive(one, audit_entry())

    async def ids(subject: Subject) -> list[UUID]:
        return [found.request_id for found in await requests.of_subject(tenant_id, subject)]

    assert await ids(Subject(("ann",))) == [first.request_id]
    assert await ids(Subject((), ("cookie-2",))) == [first.request_id, second.request_id]
    assert await ids(Subject(("nobody",), ("cookie-2",))) == [first.request_id, second.request_id]
    assert await ids(Subject(("nobody",))) == []


async def test_planning_makes_a_task_a_store_and_keeps_the_first_staging_identity(
    requests: Any, new_request: Make, audit_entry: Entry
) -> None:
    new = new_request()
    await planned(requests, new, audit_entry())
    await requests.store_begins(new.tenant_id, new.request_id, "fraud", new.received_at)
    await requests.plan(new.tenant_id, new.request_id, ["fraud", "ingest"], "another-secret")
    found = await requests.find(new.tenant_id, new.request_id)
    assert found.state is RequestState.RUNNING
    assert {store: task.state for store, task in found.tasks.items()} == {
        "fraud": StoreState.COLLECTING,
        "ingest": StoreState.PENDING,
    }
    assert await requests.staging_identity(new.tenant_id, new.request_id) == "staging-secret"


async def test_a_store_fails_waits_and_delivers(
    requests: Any, new_request: Make, audit_entry: Entry, clock: Any, a_receipt: Callable[..., StoreReceipt]
) -> None:
    new = new_request()
    ref = (new.tenant_id, new.request_id)
    await planned(requests, new, audit_entry())
    began = clock()
    await requests.store_begins(*ref, "fraud", began)
    await requests.store_fails(*ref, "fraud", "unavailable", retried=True)
    task = (await requests.find(*ref)).tasks["fraud"]
    assert (task.state, task.error_code, task.attempts) == (StoreState.WAITING, "unavailable", 1)
    clock.advance(seconds=5)
    await requests.store_begins(*ref, "fraud", clock())
    await requests.store_fails(*ref, "fraud", "not_found", retried=False)
    assert (await requests.find(*ref)).tasks["fraud"].state is StoreState.FAILED
    await requests.store_begins(*ref, "fraud", clock())
    await requests.store_delivers(*ref, a_receipt("fraud", 3), clock())
    found = await requests.find(*ref)
    task = found.tasks["fraud"]
    assert (task.state, task.error_code, task.attempts) == (StoreState.DONE, None, 3)
    assert (task.started_at, task.finished_at) == (began, clock())
    assert task.receipt == a_receipt("fraud", 3)
    assert found.missing_stores == ["ingest"]
    await requests.store_lost(*ref, "fraud")
    task = (await requests.find(*ref)).tasks["fraud"]
    assert (task.state, task.receipt, task.error_code) == (StoreState.PENDING, None, "part_lost")


async def test_fulfilment_destroys_the_staging_identity_and_offers_the_key_once(
    requests: Any, new_request: Make, audit_entry: Entry, clock: Any
) -> None:
    new = new_request()
    ref = (new.tenant_id, new.request_id)
    await planned(requests, new, audit_entry())
    assert await requests.hand_out_key(*ref, clock(), audit_entry()) is None
    await requests.fulfil(fulfilment(new, clock), audit_entry())
    found = await requests.find(*ref)
    assert (found.state, found.key_state, found.finished_at) == (RequestState.FULFILLED, KeyState.AVAILABLE, clock())
    assert found.archive is not None
    assert dataclasses.astuple(found.archive) == (10, b"s" * 32, b'{"a": 1}', clock() + timedelta(days=7))
    with pytest.raises(RequestGoneError):
        await requests.staging_identity(*ref)
    assert await requests.hand_out_key(*ref, clock(), audit_entry()) == "AGE-SECRET-KEY-1"
    assert await requests.hand_out_key(*ref, clock(), audit_entry()) is None
    assert (await requests.find(*ref)).key_state is KeyState.HANDED_OUT


async def test_expiry_destroys_the_key(requests: Any, new_request: Make, audit_entry: Entry, clock: Any) -> None:
    new = new_request()
    ref = (new.tenant_id, new.request_id)
    await planned(requests, new, audit_entry())
    with pytest.raises(IllegalTransitionError):
        await requests.expire(*ref, audit_entry())
    await requests.fulfil(fulfilment(new, clock), audit_entry())
    for _ in range(2):
        await requests.expire(*ref, audit_entry())
    found = await requests.find(*ref)
    assert (found.state, found.key_state) == (RequestState.EXPIRED, KeyState.DESTROYED)
    assert found.archive is not None
    assert await requests.hand_out_key(*ref, clock(), audit_entry()) is None


async def test_escalation_marks_the_request(requests: Any, new_request: Make, audit_entry: Entry, clock: Any) -> None:
    new = new_request()
    await planned(requests, new, audit_entry())
    await requests.escalate(new.tenant_id, new.request_id, "store_late", clock(), audit_entry())
    found = await requests.find(new.tenant_id, new.request_id)
    assert (found.escalation, found.escalated_at, found.state) == ("store_late", clock(), RequestState.RUNNING)


async def test_a_request_that_does_not_exist(requests: Any, tenant_id: TenantId) -> None:
    nobody = UUID(str(uuid7()))
    assert await requests.find(tenant_id, nobody) is None
    with pytest.raises(RequestGoneError):
        await requests.plan(tenant_id, nobody, ["fraud"], "x")
