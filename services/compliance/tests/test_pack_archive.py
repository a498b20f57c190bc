"""The last step: packs when all have delivered, names who must deliver again, and is harmless when repeated."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from weir_common.errors import RetryError
from weir_common.privacy.bootstrap import vault_in_memory
from weir_compliance.adapters.age_files import new_identity, recipient_of
from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.collect_store import CollectStore
from weir_compliance.domain.request_state import RequestState, StoreState
from weir_compliance.domain.subject_request import KeyState, NewRequest
from weir_compliance.errors import RequestGoneError
from weir_compliance.pack_archive import PackArchive
from weir_compliance.ports import SubjectRecord, SubjectSummary
from weir_compliance.reveal_subject import RevealSubject


@pytest.fixture
def pack(memory_requests: Any, files: ExportFiles, empty_audit_log: Any, clock: Any) -> PackArchive:
    return PackArchive(memory_requests, files, empty_audit_log, new_identity, clock, link_seconds=60)


@pytest.fixture
async def delivered(
    memory_requests: Any, new_request: Callable[..., NewRequest], audit_entry: Any, staging: tuple[str, str],
    scripted: Any, files: ExportFiles, clock: Any,
) -> NewRequest:  # fmt: skip
    request = new_request()
    await memory_requests.receive(request, audit_entry())
    await memory_requests.plan(request.tenant_id, request.request_id, ["fraud", "ingest"], staging[0])
    scripted.answers = {
        "fraud": [SubjectRecord("decision", "d-1", b'{"who":"planted"}'), SubjectSummary(1, "", ())],
        "ingest": [SubjectSummary(0, "nothing is kept", ())],
    }
    collect = CollectStore(
        memory_requests, scripted, files, RevealSubject(vault_in_memory().vault), recipient_of, clock
    )
    for store in ("fraud", "ingest"):
        await collect(request.tenant_id, request.request_id, store, lambda count: None)
    memory_requests.audited.clear()
    return request


async def test_a_request_whose_stores_have_delivered_is_fulfilled(
    pack: PackArchive, delivered: NewRequest, memory_requests: Any, clock: Any
) -> None:
    assert list(await pack(delivered.tenant_id, delivered.request_id)) == []
    done = await memory_requests.find(delivered.tenant_id, delivered.request_id)
    assert (done.state, done.key_state) == (RequestState.FULFILLED, KeyState.AVAILABLE)
    assert (done.archive.link_expires_at - clock()).total_seconds() == 60
    manifest = json.loads(done.archive.manifest)
    assert manifest["confirmation"] == "personal data held"
    assert [service["records"] for service in manifest["services"]] == [1, 0]
    assert manifest["archive"]["encryption"]["key"] == "one-time key, handed out once"
    assert b"planted" not in done.archive.manifest
    (entry,) = memory_requests.audited
    assert (entry.action, entry.detail["archive_sha256"]) == ("subject_request.fulfil", done.archive.sha256.hex())


async def test_repeating_it_changes_nothing(pack: PackArchive, delivered: NewRequest, memory_requests: Any) -> None:
    await pack(delivered.tenant_id, delivered.request_id)
    first = await memory_requests.find(delivered.tenant_id, delivered.request_id)
    assert list(await pack(delivered.tenant_id, delivered.request_id)) == []
    assert await memory_requests.find(delivered.tenant_id, delivered.request_id) == first
    assert len(memory_requests.audited) == 1


async def test_a_part_that_is_gone_must_be_delivered_again(
    pack: PackArchive, delivered: NewRequest, memory_requests: Any, files: ExportFiles, tmp_path: Any
) -> None:
    (tmp_path / "exports" / str(delivered.request_id) / "parts" / "fraud.jsonl.age").unlink()
    assert list(await pack(delivered.tenant_id, delivered.request_id)) == ["fraud"]
    still = await memory_requests.find(delivered.tenant_id, delivered.request_id)
    assert (still.state, still.tasks["fraud"].state) == (RequestState.RUNNING, StoreState.PENDING)
    assert list(await pack(delivered.tenant_id, delivered.request_id)) == ["fraud"], "until it has delivered"


async def test_if_the_row_cannot_be_written_the_request_is_not_fulfilled_and_the_parts_stay(
    pack: PackArchive, delivered: NewRequest, memory_requests: Any, files: ExportFiles
) -> None:
    async def refuse(*_: Any) -> None:
        raise RetryError("the database is away")

    works, memory_requests.fulfil = memory_requests.fulfil, refuse
    with pytest.raises(RetryError):
        await pack(delivered.tenant_id, delivered.request_id)
    assert files.has_part(delivered.request_id, "fraud")
    memory_requests.fulfil = works
    assert list(await pack(delivered.tenant_id, delivered.request_id)) == []


async def test_nothing_held_is_confirmed(
    pack: PackArchive, memory_requests: Any, new_request: Any, audit_entry: Any, staging: tuple[str, str]
) -> None:
    request = new_request()
    await memory_requests.receive(request, audit_entry())
    await memory_requests.plan(request.tenant_id, request.request_id, [], staging[0])
    await pack(request.tenant_id, request.request_id)
    done = await memory_requests.find(request.tenant_id, request.request_id)
    assert json.loads(done.archive.manifest)["confirmation"] == "nothing held"


async def test_there_must_be_a_request(pack: PackArchive, new_request: Any) -> None:
    request = new_request()
    with pytest.raises(RequestGoneError):
        await pack(request.tenant_id, request.request_id)
