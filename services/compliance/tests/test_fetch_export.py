"""What a requester gets, and when: the archive while its link lives, the key once, each with its audit entry."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from weir_common.auth import Principal, Role
from weir_common.errors import RetryError
from weir_common.ids import TenantId
from weir_common.problems import Conflict, Forbidden, NotFound, Problem
from weir_compliance.domain.subject_request import NewRequest
from weir_compliance.fetch_export import FetchExport
from weir_compliance.ports import Fulfilment


@pytest.fixture
def fetch(memory_requests: Any, recorded_audit: Any, clock: Any) -> FetchExport:
    return FetchExport(memory_requests, recorded_audit, clock)


@pytest.fixture
async def finished(
    memory_requests: Any, new_request: Callable[..., NewRequest], audit_entry: Any, clock: Any
) -> NewRequest:
    return await finish(memory_requests, new_request(), audit_entry, clock, "AGE-SECRET-KEY-1")


async def finish(requests: Any, request: NewRequest, audit_entry: Any, clock: Any, identity: str | None) -> NewRequest:
    await requests.receive(request, audit_entry())
    await requests.plan(request.tenant_id, request.request_id, [], "x")
    await requests.fulfil(
        Fulfilment(
            tenant_id=request.tenant_id,
            request_id=request.request_id,
            archive_identity=identity,
            archive_bytes=10,
            archive_sha256=b"s" * 32,
            manifest=b'{"a": 1}',
            at=clock(),
            link_expires_at=clock() + timedelta(days=7),
        ),
        audit_entry(),
    )
    requests.audited.clear()
    return request


async def test_the_archive_is_audited_before_it_is_given(
    fetch: FetchExport, finished: NewRequest, officer: Principal, recorded_audit: Any
) -> None:
    archive = await fetch.archive(officer, finished.tenant_id, finished.request_id)
    assert archive.size_bytes == 10
    assert [(entry.action, entry.outcome) for entry in recorded_audit.entries] == [
        ("subject_request.download", "success")
    ]
    recorded_audit.fault = RetryError("the log is away")
    with pytest.raises(RetryError):
        await fetch.archive(officer, finished.tenant_id, finished.request_id)


async def test_an_unfinished_export_is_a_conflict_that_says_what_it_waits_for(
    fetch: FetchExport, memory_requests: Any, new_request: Any, audit_entry: Any, officer: Principal
) -> None:
    request = new_request()
    await memory_requests.receive(request, audit_entry())
    await memory_requests.plan(request.tenant_id, request.request_id, ["fraud", "ingest"], "x")
    for ask in (fetch.archive, fetch.key):
        with pytest.raises(Conflict, match="fraud, ingest"):
            await ask(officer, request.tenant_id, request.request_id)
    with pytest.raises(Conflict):
        await fetch.manifest(request.tenant_id, request.request_id)


async def test_after_its_link_expired_the_archive_is_gone_and_the_manifest_is_not(
    fetch: FetchExport, finished: NewRequest, officer: Principal, clock: Any
) -> None:
    clock.advance(days=7)
    for ask in (fetch.archive, fetch.key):
        with pytest.raises(Problem) as caught:
            await ask(officer, finished.tenant_id, finished.request_id)
        assert caught.value.status == 410
    assert await fetch.manifest(finished.tenant_id, finished.request_id) == b'{"a": 1}'


async def test_the_key_is_handed_out_once(
    fetch: FetchExport, finished: NewRequest, officer: Principal, memory_requests: Any
) -> None:
    assert await fetch.key(officer, finished.tenant_id, finished.request_id) == "AGE-SECRET-KEY-1"
    assert [entry.action for entry in memory_requests.audited] == ["subject_request.hand_out_key"]
    with pytest.raises(Conflict, match="handed out already"):
        await fetch.key(officer, finished.tenant_id, finished.request_id)


@pytest.mark.parametrize(
    ("subject", "roles", "allowed"),
    [
        ("key:officer", {Role.OPERATOR}, True),  # who asked
        ("key:other", {Role.PRIVACY_OFFICER}, True),
        ("key:other", {Role.OWNER}, True),
        ("key:other", {Role.OPERATOR}, False),
        ("key:other", set(), False),
    ],
)
async def test_the_key_goes_to_who_asked_or_may_act_for_them(
    fetch: FetchExport, finished: NewRequest, recorded_audit: Any, subject: str, roles: set[Role], allowed: bool
) -> None:
    caller = Principal(finished.tenant_id, subject, "machine", frozenset(roles))
    if allowed:
        assert await fetch.key(caller, finished.tenant_id, finished.request_id)
    else:
        with pytest.raises(Forbidden):
            await fetch.key(caller, finished.tenant_id, finished.request_id)
        assert [entry.outcome for entry in recorded_audit.entries] == ["denied"]


async def test_a_requesters_own_key_is_not_ours_to_give(
    fetch: FetchExport, memory_requests: Any, new_request: Any, audit_entry: Any, officer: Principal, clock: Any
) -> None:
    request = await finish(memory_requests, new_request(recipient="age1x"), audit_entry, clock, None)
    with pytest.raises(Conflict) as caught:
        await fetch.key(officer, request.tenant_id, request.request_id)
    assert caught.value.slug == "key-is-the-recipients"


async def test_another_tenants_request_does_not_exist(
    fetch: FetchExport, finished: NewRequest, officer: Principal
) -> None:
    with pytest.raises(NotFound):
        await fetch.archive(officer, TenantId("another"), finished.request_id)
