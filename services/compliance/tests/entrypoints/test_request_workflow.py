"""Requests as they run: on real PostgreSQL, Temporal and gRPC, with services that answer, fail, refuse and are down."""

import asyncio
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from weir_common.audit import AuditEntry
from weir_common.auth import Principal
from weir_common.ids import TenantId
from weir_common.problems import Conflict
from weir_compliance.adapters.age_files import new_identity, opened_file
from weir_compliance.domain.manifest import data_path
from weir_compliance.domain.request_state import RequestState, StoreState
from weir_compliance.domain.subject import Subject
from weir_compliance.domain.subject_request import KeyState, Particulars, SubjectRequest

pytestmark = pytest.mark.integration

HISTORIES = Path(__file__).parent.parent / "histories"

SUBJECT = "planted-user-7c1f"
PLANTED = [SUBJECT, "planted.person@example.org", "203.0.113.77", "7 Planted Lane", "planted-ticket", "planted-reason"]
PARTICULARS = Particulars(Subject((SUBJECT,), ("planted-cookie",)), PLANTED[4], PLANTED[5])

Done = Callable[[SubjectRequest], bool]


def fulfilled(request: SubjectRequest) -> bool:
    return request.state is RequestState.FULFILLED


def in_state(store: str, state: StoreState) -> Done:
    return lambda request: store in request.tasks and request.tasks[store].state is state


def workflow_id(request: SubjectRequest) -> str:
    return f"dsr/{request.tenant_id}/{request.request_id}"


async def raw_history(client: Client, id_: str) -> bytes:
    """Everything that Temporal keeps of the workflow, as stored: no codec undoes anything."""
    plain = await Client.connect(client.service_client.config.target_host, namespace=client.namespace)
    handle = plain.get_workflow_handle(id_)
    history = await handle.fetch_history()
    described = (await handle.describe()).raw_description.SerializeToString()
    return b"".join([*(event.SerializeToString() for event in history.events), described])


def hunt(haystack: bytes, planted: list[str]) -> list[str]:
    """Which planted values stand in it."""
    return [value for value in planted if value.encode() in haystack]


async def save_history(client: Client, request: SubjectRequest, name: str) -> None:
    """Kept for the replay test when asked for: `WEIR_RECORD_HISTORIES=1`."""
    if os.environ.get("WEIR_RECORD_HISTORIES"):
        history = await client.get_workflow_handle(workflow_id(request)).fetch_history()
        document = {"workflow_id": workflow_id(request), "history": json.loads(history.to_json())}
        path = HISTORIES / f"{name}.json"
        await asyncio.to_thread(path.write_text, json.dumps(document, separators=(",", ":")) + "\n")


def unpack(path: Path, identity: str) -> dict[str, bytes]:
    with opened_file(path, identity) as opened:
        plain = opened.read()
    with tarfile.open(fileobj=io.BytesIO(plain), mode="r:gz") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]


async def test_every_record_of_every_service_is_in_the_archive_and_nothing_of_it_in_temporal(
    deployment: Any, officer: Principal, tenant_id: TenantId, audit_entry: Callable[..., AuditEntry]
) -> None:
    for number, store in enumerate(deployment.stores.values()):
        store.records = [
            (f"{store.name}.thing", f"{store.name}-{index}", {"user": SUBJECT, "mail": PLANTED[1], "ip": PLANTED[2]})
            for index in range(number * 100)
        ]
    request = await deployment.ask(officer, tenant_id, SUBJECT, particulars=PARTICULARS)
    done = await deployment.until(request, fulfilled)

    assert [task.state for task in done.tasks.values()] == [StoreState.DONE] * 6
    assert done.key_state is KeyState.AVAILABLE
    identity = await deployment.requests.hand_out_key(tenant_id, done.request_id, done.received_at, audit_entry())
    archive = deployment.files.archive(done.request_id)
    assert archive.stat().st_size == done.archive.size_bytes
    assert hashlib.sha256(archive.read_bytes()).digest() == done.archive.sha256
    content = unpack(archive, identity)
    manifest = json.loads(content["manifest.json"])
    assert manifest["records"] == sum(number * 100 for number in range(6))
    for entry in manifest["services"]:
        store = deployment.stores[entry["service"]]
        data = content[data_path(store.name)]
        assert entry["records"] == len(store.records)
        assert entry["bytes"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
        lines = [json.loads(line) for line in data.splitlines()]
        assert [(line["category"], line["record_id"], line["data"]) for line in lines] == store.records
    beside = json.loads(done.archive.manifest)
    assert beside["archive"]["sha256"] == done.archive.sha256.hex()
    assert {key: value for key, value in beside.items() if key != "archive"} == manifest
    assert hunt(content["manifest.json"] + done.archive.manifest, PLANTED) == []

    for store in deployment.stores.values():
        (call,) = store.calls
        assert (call.tenant_id, call.request_id) == (tenant_id, str(done.request_id))
        assert (list(call.subject.user_ids), list(call.subject.anonymous_ids)) == ([SUBJECT], ["planted-cookie"])
    # What the stores delivered is gone from disk; only the archive is left.
    assert [path.name for path in archive.parent.iterdir()] == ["archive.tar.gz.age"]

    history = await raw_history(deployment.client, workflow_id(request))
    assert len(history) > 2_000
    assert hunt(history, [*PLANTED, "planted"]) == []
    await save_history(deployment.client, request, "fulfilled")


async def test_the_hunter_finds_what_is_there(deployment: Any, tenant_id: TenantId) -> None:
    """Otherwise its silence elsewhere would mean nothing: without the codec, input and memo stand in the history."""
    plain = await Client.connect(deployment.client.service_client.config.target_host)
    handle = await plain.start_workflow(
        "Nobody",
        PLANTED[:5],
        id=f"hunt/{tenant_id}",
        task_queue="weir.compliance.test.unserved",
        memo={"of": PLANTED[5]},
    )
    try:
        assert hunt(await raw_history(deployment.client, handle.id), PLANTED) == PLANTED
    finally:
        await handle.terminate()


async def test_the_words_of_a_failing_service_reach_neither_the_history_nor_the_log(
    deployment: Any,
    officer: Principal,
    tenant_id: TenantId,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    fraud = deployment.stores["fraud"]
    fraud.refusal = (grpc.StatusCode.INTERNAL, f"could not read {PLANTED[1]} at {PLANTED[2]}")
    request = await deployment.ask(officer, tenant_id, SUBJECT, particulars=PARTICULARS)
    waiting = await deployment.until(request, in_state("fraud", StoreState.WAITING))
    assert waiting.tasks["fraud"].error_code == "internal"
    # Waiting again after a second attempt: whatever was asked by now has been refused, so the one that succeeds is a third.
    await deployment.until(
        request,
        lambda found: found.tasks["fraud"].attempts >= 2 and found.tasks["fraud"].state is StoreState.WAITING,
    )
    fraud.refusal = None
    done = await deployment.until(request, fulfilled)
    assert done.tasks["fraud"].attempts >= 3
    assert done.tasks["fraud"].error_code is None
    history = await raw_history(deployment.client, workflow_id(request))
    assert hunt(history, [*PLANTED, "planted", "could not read"]) == []
    out, err = capfd.readouterr()
    logged = out + err + caplog.text
    assert str(request.request_id) in logged, "the failures were logged, so there was something to hunt in"
    assert hunt(logged.encode(), [*PLANTED, "planted", "could not read"]) == []
    await save_history(deployment.client, request, "store_failure")


@pytest.mark.parametrize("periods", [{"store_late_after_seconds": 1}])
async def test_a_service_that_is_down_is_waited_for_and_escalated_never_left_out(
    deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    analytics = deployment.stores["analytics"]
    await analytics.stop()
    request = await deployment.ask(officer, tenant_id, SUBJECT)
    waiting = await deployment.until(request, in_state("analytics", StoreState.WAITING))
    assert waiting.tasks["analytics"].error_code == "unavailable"
    late = await deployment.until(request, lambda found: found.escalation is not None)
    assert late.escalation == "store_late"
    assert late.missing_stores == ["analytics"]
    assert late.state is RequestState.RUNNING
    assert late.archive is None
    assert not deployment.files.archive(request.request_id).exists()
    await analytics.start()
    # Nobody has to wait for the next retry of a store that is known to be back.
    await deployment.workflows.rerun_store(tenant_id, request.request_id, "analytics")
    done = await deployment.until(request, fulfilled)
    assert done.tasks["analytics"].attempts >= 2
    await save_history(deployment.client, request, "store_late_and_rerun")


async def test_a_service_that_refuses_waits_for_a_person_who_has_it_asked_again(
    deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    fraud = deployment.stores["fraud"]
    fraud.refusal = (grpc.StatusCode.INVALID_ARGUMENT, f"no such person: {SUBJECT}")
    request = await deployment.ask(officer, tenant_id, SUBJECT)
    stuck = await deployment.until(request, lambda found: found.escalation is not None)
    assert stuck.escalation == "store_failed"
    assert (stuck.tasks["fraud"].state, stuck.tasks["fraud"].error_code) == (StoreState.FAILED, "invalid_argument")
    await asyncio.sleep(1.5)
    assert len(fraud.calls) == 1, "a refusal is not retried by itself"
    status = await deployment.client.get_workflow_handle(workflow_id(request)).query("status")
    assert status["state"] == "running"
    assert status["stores"]["fraud"] == "failed"
    with pytest.raises(Conflict, match="store_done"):
        await deployment.workflows.rerun_store(tenant_id, request.request_id, "ingest")
    with pytest.raises(Conflict, match="unknown_store"):
        await deployment.workflows.rerun_store(tenant_id, request.request_id, "warehouse")
    fraud.refusal = None
    await deployment.workflows.rerun_store(tenant_id, request.request_id, "fraud")
    await deployment.until(request, fulfilled)
    # The table says fulfilled an instant before the workflow ends; refused it is either way.
    with pytest.raises(Conflict, match=r"request_final|store_done"):
        await deployment.workflows.rerun_store(tenant_id, request.request_id, "fraud")
    assert hunt(await raw_history(deployment.client, workflow_id(request)), [SUBJECT, "no such person"]) == []
    await save_history(deployment.client, request, "store_refused")


async def test_a_delivery_that_is_lost_before_it_is_packed_is_asked_for_again(
    deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    ingest, fraud = deployment.stores["ingest"], deployment.stores["fraud"]
    ingest.hold = asyncio.Event()
    request = await deployment.ask(officer, tenant_id, SUBJECT)
    await deployment.until(request, in_state("fraud", StoreState.DONE))
    part = deployment.folder / str(request.request_id) / "parts" / "fraud.jsonl.age"
    await asyncio.to_thread(part.unlink)
    ingest.hold.set()
    await deployment.until(request, fulfilled)
    assert (len(fraud.calls), len(ingest.calls)) == (2, 1)
    await save_history(deployment.client, request, "part_lost")


@pytest.mark.parametrize("periods", [{"link_seconds": 1}])
async def test_the_archive_and_its_key_go_when_the_link_expires(
    deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    request = await deployment.ask(officer, tenant_id, SUBJECT)
    gone = await deployment.until(request, lambda found: found.state is RequestState.EXPIRED)
    assert gone.key_state is KeyState.DESTROYED
    result = await deployment.client.get_workflow_handle(workflow_id(request)).result()
    assert result == "expired"
    assert await asyncio.to_thread(lambda: list(deployment.folder.iterdir())) == []
    await save_history(deployment.client, request, "expired")


@pytest.mark.parametrize("periods", [{"warn_before_due_seconds": [40 * 86_400]}])
async def test_an_answer_that_is_nearly_due_is_escalated(
    deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    deployment.stores["fraud"].hold = asyncio.Event()
    request = await deployment.ask(officer, tenant_id, SUBJECT)
    warned = await deployment.until(request, lambda found: found.escalation is not None)
    assert warned.escalation == "due_soon"
    deployment.stores["fraud"].hold.set()
    await deployment.until(request, fulfilled)


async def test_an_archive_for_the_requesters_own_key_opens_with_it_and_no_key_is_kept(
    deployment: Any, officer: Principal, tenant_id: TenantId, audit_entry: Callable[..., AuditEntry]
) -> None:
    identity, recipient = new_identity()
    request = await deployment.ask(officer, tenant_id, SUBJECT, recipient=recipient)
    done = await deployment.until(request, fulfilled)
    assert done.key_state is KeyState.RECIPIENT
    assert await deployment.requests.hand_out_key(tenant_id, done.request_id, done.received_at, audit_entry()) is None
    assert "manifest.json" in unpack(deployment.files.archive(done.request_id), identity)


async def test_a_cancelled_workflow_leaves_the_request_open_and_says_so(
    deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    deployment.stores["fraud"].hold = asyncio.Event()
    request = await deployment.ask(officer, tenant_id, SUBJECT)
    await deployment.until(request, lambda found: found.missing_stores == ["fraud"])
    handle = deployment.client.get_workflow_handle(workflow_id(request))
    await handle.cancel()
    told = await deployment.until(request, lambda found: found.escalation is not None)
    assert (told.escalation, told.state) == ("workflow_cancelled", RequestState.RUNNING)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    await save_history(deployment.client, request, "cancelled")


async def test_a_request_is_started_once_however_often_it_is_tried(
    deployment: Any, officer: Principal, tenant_id: TenantId
) -> None:
    request = await deployment.ask(officer, tenant_id, SUBJECT, idempotency_key="once")
    again = await deployment.ask(officer, tenant_id, SUBJECT, idempotency_key="once")
    assert again.request_id == request.request_id
    await asyncio.gather(*(deployment.workflows.start_waiting() for _ in range(5)))
    await deployment.until(request, fulfilled)
    await deployment.workflows.start_waiting()
    assert {len(store.calls) for store in deployment.stores.values()} == {1}
    description = await deployment.client.get_workflow_handle(workflow_id(request)).describe()
    assert description.status is WorkflowExecutionStatus.RUNNING, "it waits for its link to expire"
