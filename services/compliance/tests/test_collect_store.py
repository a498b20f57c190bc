"""One store's part of a request: streamed to a sealed file, checked, receipted."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from weir_common.ids import TenantId
from weir_common.privacy.bootstrap import vault_in_memory
from weir_compliance.adapters.age_files import opened_file, recipient_of
from weir_compliance.adapters.export_files import ExportFiles
from weir_compliance.collect_store import CollectStore
from weir_compliance.domain.manifest import Processing, StoreReceipt
from weir_compliance.domain.request_state import StoreState
from weir_compliance.domain.subject_request import NewRequest
from weir_compliance.errors import (
    RequestGoneError,
    StoreError,
    StoreFalseError,
    StoreRefusedError,
    StoreUnavailableError,
)
from weir_compliance.ports import SubjectRecord, SubjectSummary
from weir_compliance.reveal_subject import RevealSubject

PROCESSING = (Processing("thing", "to test", "Art. 6(1)(f)", "a day"),)


def record(number: int, json_: bytes | None = None) -> SubjectRecord:
    return SubjectRecord("thing", f"r-{number}", json_ if json_ is not None else b'{"n":%d}' % number)


def summary(records: int) -> SubjectSummary:
    return SubjectSummary(records, "all of it", PROCESSING)


@pytest.fixture
def collect(memory_requests: Any, scripted: Any, files: ExportFiles, clock: Any) -> CollectStore:
    return CollectStore(memory_requests, scripted, files, RevealSubject(vault_in_memory().vault), recipient_of, clock)


@pytest.fixture
async def running(
    memory_requests: Any, new_request: Callable[..., NewRequest], audit_entry: Any, staging: tuple[str, str]
) -> NewRequest:
    request = new_request()
    await memory_requests.receive(request, audit_entry())
    await memory_requests.plan(request.tenant_id, request.request_id, ["fraud"], staging[0])
    return request


def silent(count: int) -> None:
    return None


async def test_records_become_lines_and_a_receipt(
    collect: CollectStore, running: NewRequest, scripted: Any, memory_requests: Any, files: ExportFiles, tmp_path: Any,
    staging: tuple[str, str],
) -> None:  # fmt: skip
    scripted.answers["fraud"] = [record(1), record(2, b' {"price": 1.10,\n "note": "\\u00fc"} '), summary(2)]
    seen: list[int] = []
    receipt = await collect(running.tenant_id, running.request_id, "fraud", seen.append)
    part = tmp_path / "exports" / str(running.request_id) / "parts" / "fraud.jsonl.age"
    with opened_file(part, staging[0]) as opened:
        plain = opened.read()
    assert plain.splitlines() == [
        b'{"category":"thing","record_id":"r-1","data":{"n":1}}',
        b'{"category":"thing","record_id":"r-2","data":{"price":1.10,"note":"\\u00fc"}}',
    ]
    assert receipt == StoreReceipt(
        "fraud", 2, {"thing": 2}, len(plain), hashlib.sha256(plain).hexdigest(), "all of it", PROCESSING
    )
    assert seen == [1, 2]
    task = (await memory_requests.find(running.tenant_id, running.request_id)).tasks["fraud"]
    assert (task.state, task.receipt) == (StoreState.DONE, receipt)
    assert scripted.asked == [("fraud", running.tenant_id, running.request_id, running.particulars.subject)]


async def test_nothing_held_is_an_answer_too(collect: CollectStore, running: NewRequest, scripted: Any) -> None:
    scripted.answers["fraud"] = [summary(0)]
    receipt = await collect(running.tenant_id, running.request_id, "fraud", silent)
    assert (receipt.records, receipt.size_bytes) == (0, 0)


async def test_a_part_that_was_receipted_is_not_fetched_again(
    collect: CollectStore, running: NewRequest, scripted: Any, files: ExportFiles
) -> None:
    scripted.answers["fraud"] = [summary(0)]
    first = await collect(running.tenant_id, running.request_id, "fraud", silent)
    assert await collect(running.tenant_id, running.request_id, "fraud", silent) == first
    assert len(scripted.asked) == 1
    files.remove_parts(running.request_id)
    await collect(running.tenant_id, running.request_id, "fraud", silent)
    assert len(scripted.asked) == 2, "unless its file is gone"


@pytest.mark.parametrize(
    ("answer", "error", "code", "state"),
    [
        ([record(1)], StoreUnavailableError, "ended_early", StoreState.WAITING),
        ([record(1), StoreUnavailableError("idle")], StoreUnavailableError, "idle", StoreState.WAITING),
        ([StoreRefusedError("not_found")], StoreRefusedError, "not_found", StoreState.FAILED),
        ([record(1), summary(2)], StoreFalseError, "count_mismatch", StoreState.FAILED),
        ([summary(0), record(1)], StoreFalseError, "record_after_summary", StoreState.FAILED),
        ([summary(0), summary(0)], StoreFalseError, "record_after_summary", StoreState.FAILED),
        ([record(1, b"[1]"), summary(1)], StoreFalseError, "record_not_an_object", StoreState.FAILED),
        ([record(1, b'{"a":'), summary(1)], StoreFalseError, "record_not_json", StoreState.FAILED),
        ([record(1, b'{"a":"\xff"}'), summary(1)], StoreFalseError, "record_not_json", StoreState.FAILED),
        ([record(1, b"{}{}"), summary(1)], StoreFalseError, "record_not_json", StoreState.FAILED),
    ],
)
async def test_a_store_that_fails_leaves_no_part(
    collect: CollectStore, running: NewRequest, scripted: Any, memory_requests: Any, files: ExportFiles,
    answer: list[Any], error: type[StoreError], code: str, state: StoreState,
) -> None:  # fmt: skip
    scripted.answers["fraud"] = answer
    with pytest.raises(error) as caught:
        await collect(running.tenant_id, running.request_id, "fraud", silent)
    assert caught.value.code == code
    task = (await memory_requests.find(running.tenant_id, running.request_id)).tasks["fraud"]
    assert (task.state, task.error_code, task.attempts) == (state, code, 1)
    assert not files.has_part(running.request_id, "fraud")


async def test_only_a_running_request_is_collected_for(
    collect: CollectStore, running: NewRequest, memory_requests: Any, new_request: Any, audit_entry: Any
) -> None:
    received = new_request()
    await memory_requests.receive(received, audit_entry())
    for tenant_id, request_id, store in (
        (received.tenant_id, received.request_id, "fraud"),
        (TenantId("another"), running.request_id, "fraud"),
        (running.tenant_id, running.request_id, "warehouse"),
    ):
        with pytest.raises(RequestGoneError):
            await collect(tenant_id, request_id, store, silent)
