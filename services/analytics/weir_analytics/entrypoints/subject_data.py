"""What analytics holds about a data subject: their events in the archive, the decisions beside them, their device sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import grpc.aio
import msgspec
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.ids import TenantId
from weir_common.postgres import tenant_transaction

from weir_analytics.adapters.iceberg_archive import IcebergArchiveReader

_TABLES = ("events", "decisions")
_END = None

_PROCESSING = (
    (
        "analytics.event",
        "What happened in the shop, for figures and their audit",
        "as the tenant's basis (Art. 6(1)(b) or (f))",
    ),
    ("analytics.decision", "Copy of fraud decisions, for the fraud rate", "legitimate interest (recital 47 GDPR)"),
    ("analytics.device_session", "Visits, for sessions and conversion", "as the tenant's basis (Art. 6(1)(a) or (f))"),
)


class _User(msgspec.Struct):
    user_id: str | None = None
    anonymous_id: str | None = None


class _Data(msgspec.Struct):
    user_context: _User | None = None


class _Metadata(msgspec.Struct):
    event_id: str = ""


class _Archived(msgspec.Struct):
    """An event, or a decision (which has its ids at the top)."""

    event_id: str = ""
    user_id: str | None = None
    event_metadata: _Metadata | None = None
    event_data: _Data | None = None


_decoder = msgspec.json.Decoder(_Archived)


class AnalyticsSubjectData(subject_data_pb2_grpc.SubjectDataServiceServicer):
    """Reads the archive in a thread; a record is the subject's if it carries any of the identifiers."""

    def __init__(self, archive: IcebergArchiveReader, pool: asyncpg.Pool) -> None:
        self._archive = archive
        self._pool = pool

    async def ExportSubject(  # noqa: N802 - the name is the protocol's
        self, request: subject_data_pb2.ExportSubjectRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[subject_data_pb2.ExportSubjectResponse]:
        """Archived records, sessions, then one summary. Events of the last half minute may not be archived yet."""
        users, visitors = frozenset(request.subject.user_ids), frozenset(request.subject.anonymous_ids)
        tenant_id = TenantId(request.tenant_id)
        count = 0
        for table in _TABLES:
            found = iter(self._matching(table, tenant_id, users, visitors))
            # The scan blocks: one step of it at a time in a thread, so that a slow reader of the stream holds it up.
            while (record := await asyncio.to_thread(next, found, _END)) is not _END:
                count += 1
                yield subject_data_pb2.ExportSubjectResponse(record=record)
        for record in await self._sessions(tenant_id, users, visitors):
            count += 1
            yield subject_data_pb2.ExportSubjectResponse(record=record)
        yield subject_data_pb2.ExportSubjectResponse(
            summary=subject_data_pb2.SubjectSummary(
                records=count,
                explanation="" if count else "No event of this subject is in the archive.",
                processing=[
                    subject_data_pb2.ProcessingInfo(
                        category=category, purpose=purpose, legal_basis=basis, retention="as the tenant's plan"
                    )
                    for category, purpose, basis in _PROCESSING
                ],
            )
        )

    def _matching(
        self, table: str, tenant_id: TenantId, users: frozenset[str], visitors: frozenset[str]
    ) -> Iterator[subject_data_pb2.SubjectRecord]:
        needles = [value.encode() for value in users | visitors]
        for payload in self._archive.payloads(table, tenant_id):
            # Cheap first: most records do not hold the text at all.
            if not any(needle in payload for needle in needles):
                continue
            archived = _decoder.decode(payload)
            user = archived.event_data.user_context if archived.event_data is not None else None
            carries = archived.user_id in users or (
                user is not None and (user.user_id in users or user.anonymous_id in visitors)
            )
            if carries:
                event_id = (
                    archived.event_metadata.event_id if archived.event_metadata is not None else archived.event_id
                )
                yield subject_data_pb2.SubjectRecord(
                    category=f"analytics.{table.removesuffix('s')}", record_id=event_id, json=payload
                )

    async def _sessions(
        self, tenant_id: TenantId, users: frozenset[str], visitors: frozenset[str]
    ) -> list[subject_data_pb2.SubjectRecord]:
        async with tenant_transaction(self._pool, tenant_id, readonly=True) as connection:
            rows = await connection.fetch(
                "SELECT session_id, device, user_id, started_at, ended_at, events, page_views, purchases "
                "FROM analytics.device_session WHERE tenant_id = $1 AND (user_id = ANY($2::text[]) OR device = ANY($3::text[])) "
                "ORDER BY started_at, session_id",
                tenant_id,
                sorted(users),
                [*(f"anonymous:{value}" for value in sorted(visitors)), *(f"user:{value}" for value in sorted(users))],
            )
        return [
            subject_data_pb2.SubjectRecord(
                category="analytics.device_session",
                record_id=str(row["session_id"]),
                json=msgspec.json.encode(dict(row)),
            )
            for row in rows
        ]
