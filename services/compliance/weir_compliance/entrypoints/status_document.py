"""What a requester sees of a request: the Data Rights Protocol's members, and a row for each store."""

from datetime import datetime

import msgspec

from weir_compliance.domain.request_state import RIGHTS_STATUS, RequestState, RightsStatus, StoreState
from weir_compliance.domain.subject_request import KeyState, StoreTask, SubjectRequest

PATH = "/api/v2/data/export/gdpr"


class StoreDocument(msgspec.Struct):
    """One service's part. `error` is a code; `records` is there once it has delivered."""

    store: str
    state: StoreState
    attempts: int
    retries: int
    records: int | None
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


class ArchiveDocument(msgspec.Struct):
    """The archive as it is on disk. `key` says who can open it."""

    bytes: int
    sha256: str
    key: KeyState


class EscalationDocument(msgspec.Struct):
    """Why somebody has to look: store_late, store_failed, archive_late, due_soon or workflow_cancelled."""

    reason: str
    at: datetime


class SubjectRequestDocument(msgspec.Struct, omit_defaults=True):
    """`results_url` is there while there is something to fetch; `expires_at` is when it ends."""

    request_id: str
    tenant_id: str
    kind: str
    regime: str
    status: RightsStatus
    processing_details: str
    received_at: datetime
    expected_by: datetime
    reference: str
    stores: list[StoreDocument]
    links: dict[str, str]
    finished_at: datetime | None = None
    escalation: EscalationDocument | None = None
    archive: ArchiveDocument | None = None
    results_url: str | None = None
    expires_at: datetime | None = None


def status_document(request: SubjectRequest) -> SubjectRequestDocument:
    """The document of a request as it is now."""
    own = f"{PATH}/{request.request_id}"
    document = SubjectRequestDocument(
        request_id=str(request.request_id),
        tenant_id=request.tenant_id,
        kind=request.kind,
        regime=request.regime,
        status=RIGHTS_STATUS[request.state],
        processing_details=_details(request),
        received_at=request.received_at,
        expected_by=request.due_at,
        reference=request.particulars.reference,
        stores=[_store(task) for _, task in sorted(request.tasks.items())],
        links={"self": own},
        finished_at=request.finished_at,
    )
    if request.escalation is not None and request.escalated_at is not None:
        document.escalation = EscalationDocument(request.escalation, request.escalated_at)
    if request.archive is not None:
        archive = request.archive
        document.links["manifest"] = f"{own}/manifest"
        document.archive = ArchiveDocument(archive.size_bytes, archive.sha256.hex(), request.key_state)
        document.expires_at = archive.link_expires_at
    if request.state is RequestState.FULFILLED:
        document.results_url = document.links["download"] = f"{own}/download"
        document.links["download_key"] = f"{own}/download-key"
    return document


def _store(task: StoreTask) -> StoreDocument:
    return StoreDocument(
        store=task.store,
        state=task.state,
        attempts=task.attempts,
        retries=max(0, task.attempts - 1),
        records=None if task.receipt is None else task.receipt.records,
        error=task.error_code,
        started_at=task.started_at,
        finished_at=task.finished_at,
    )


def _details(request: SubjectRequest) -> str:
    match request.state:
        case RequestState.RECEIVED:
            return "The request was received and waits to be started."
        case RequestState.FULFILLED:
            return "The archive is ready to be fetched."
        case RequestState.EXPIRED:
            return "The archive was deleted when its link expired."
        case RequestState.RUNNING:
            pass
    done = len(request.tasks) - len(request.missing_stores)
    text = f"{done} of {len(request.tasks)} services have delivered."
    troubled = [
        f"{store} ({task.error_code or 'no answer yet'}, {task.attempts} attempts)"
        for store, task in sorted(request.tasks.items())
        if task.state in (StoreState.WAITING, StoreState.FAILED)
    ]
    return f"{text} Waiting for {', '.join(troubled)}." if troubled else text
