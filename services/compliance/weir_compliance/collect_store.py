"""Ask one service for a subject's data, and write what it sends, opened, straight to a sealed file."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import msgspec
from weir_common.ids import TenantId
from weir_common.privacy.errors import VaultUnavailable
from weir_common.telemetry import meter

from weir_compliance.domain.manifest import StoreReceipt
from weir_compliance.domain.request_state import RequestState, StoreState
from weir_compliance.domain.subject_request import SubjectRequest
from weir_compliance.errors import RequestGoneError, StoreError, StoreFalseError, StoreUnavailableError
from weir_compliance.ports import (
    Clock,
    Parts,
    PartWriter,
    Progress,
    SubjectDataSource,
    SubjectRecord,
    SubjectRequests,
    SubjectSummary,
)
from weir_compliance.reveal_subject import RevealedSubject, RevealSubject


class CollectStore:
    """One store's part of a request. Repeating it is harmless: a part that was receipted is not fetched again."""

    def __init__(
        self,
        requests: SubjectRequests,
        source: SubjectDataSource,
        parts: Parts,
        reveal: RevealSubject,
        recipient_of: Callable[[str], str],
        clock: Clock,
    ) -> None:
        self._requests = requests
        self._source = source
        self._parts = parts
        self._reveal = reveal
        self._recipient_of = recipient_of
        self._clock = clock
        self._attempts = meter().create_counter(
            "weir.compliance.store.attempts", unit="{attempt}", description="Times that a service was asked, by outcome"
        )
        self._records = meter().create_counter(
            "weir.compliance.store.records", unit="{record}", description="Records that services delivered"
        )

    async def __call__(self, tenant_id: TenantId, request_id: UUID, store: str, progress: Progress) -> StoreReceipt:
        """`progress` is called with the number of records so far. StoreError subclasses say whether to try again."""
        request = await self._requests.find(tenant_id, request_id)
        if request is None or request.state is not RequestState.RUNNING or store not in request.tasks:
            raise RequestGoneError("request_gone")
        done = request.tasks[store]
        if done.state is StoreState.DONE and done.receipt is not None and self._parts.has_part(request_id, store):
            return done.receipt
        await self._requests.store_begins(tenant_id, request_id, store, self._clock())
        try:
            try:
                receipt = await self._deliver(request, store, progress)
            except VaultUnavailable:
                raise StoreUnavailableError("vault_unavailable") from None
        except StoreError as error:
            retried = isinstance(error, StoreUnavailableError)
            self._attempts.add(1, {"weir.store": store, "weir.outcome": error.code})
            await self._requests.store_fails(tenant_id, request_id, store, error.code, retried=retried)
            raise
        await self._requests.store_delivers(tenant_id, request_id, receipt, self._clock())
        self._attempts.add(1, {"weir.store": store, "weir.outcome": "delivered"})
        self._records.add(receipt.records, {"weir.store": store})
        return receipt

    async def _deliver(self, request: SubjectRequest, store: str, progress: Progress) -> StoreReceipt:
        recipient = self._recipient_of(await self._requests.staging_identity(request.tenant_id, request.request_id))
        subject = request.particulars.subject
        reveal = await self._reveal(request.tenant_id, subject)
        answer = self._source.records(store, request.tenant_id, request.request_id, subject, reveal.subject_ids)
        async with self._parts.part_writer(request.request_id, store, recipient) as part:
            summary, categories = await _write_all(answer, reveal, part, progress)
            await part.flush()
            if summary.records != categories.total():
                # Either the store or the way here lost or doubled something; the same call will do so again.
                raise StoreFalseError("count_mismatch")
            return StoreReceipt(
                store=store,
                records=summary.records,
                records_by_category=dict(categories),
                size_bytes=part.plain_bytes,
                sha256=part.plain_sha256.hex(),
                explanation=summary.explanation,
                processing=summary.processing,
                left_sealed={str(reason): count for reason, count in reveal.left_sealed.items()},
            )


async def _write_all(
    answer: AsyncIterator[SubjectRecord | SubjectSummary],
    reveal: RevealedSubject,
    part: PartWriter,
    progress: Progress,
) -> tuple[SubjectSummary, Counter[str]]:
    categories: Counter[str] = Counter()
    summary: SubjectSummary | None = None
    async for item in answer:
        if summary is not None:
            raise StoreFalseError("record_after_summary")
        if isinstance(item, SubjectSummary):
            summary = item
            continue
        await part.write(_line(item, await reveal(item.json)))
        categories[item.category] += 1
        progress(categories.total())
    if summary is None:
        raise StoreUnavailableError("ended_early")
    return summary, categories


def _line(record: SubjectRecord, text: bytes) -> bytes:
    """One line of the data file. The record's JSON is kept digit for digit, only without white space."""
    try:
        # Decoding first: formatting alone would let some malformed documents through.
        if not isinstance(msgspec.json.decode(text), dict):
            raise StoreFalseError("record_not_an_object")
        data = msgspec.json.format(text, indent=-1)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise StoreFalseError("record_not_json") from None
    head = msgspec.json.encode({"category": record.category, "record_id": record.record_id})
    return head[:-1] + b',"data":' + data + b"}\n"
