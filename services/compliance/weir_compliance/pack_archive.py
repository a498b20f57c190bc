"""Last step of a request: one archive and its manifest."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import UUID

from weir_common.audit import AuditEntry
from weir_common.ids import TenantId
from weir_common.telemetry import meter

from weir_compliance.domain.manifest import build_manifest
from weir_compliance.domain.request_state import RequestState
from weir_compliance.domain.subject_request import SubjectRequest
from weir_compliance.errors import PartDamagedError, RequestGoneError
from weir_compliance.ports import Archives, AuditLog, Clock, Fulfilment, PackedArchive, PackOrder, SubjectRequests

# From a second, when all is well, over hours of an outage, to the month that the law gives.
_ANSWER_BUCKETS_SECONDS = (1, 2, 5, 10, 30, 60, 300, 1_800, 7_200, 86_400, 604_800, 2_678_400)


class PackArchive:
    """Packs once every store has delivered. `new_identity` makes a fresh age identity: secret and recipient."""

    def __init__(
        self,
        requests: SubjectRequests,
        archives: Archives,
        audit_log: AuditLog,
        new_identity: Callable[[], tuple[str, str]],
        clock: Clock,
        link_seconds: float,
    ) -> None:
        self._requests = requests
        self._archives = archives
        self._audit_log = audit_log
        self._new_identity = new_identity
        self._clock = clock
        self._link = timedelta(seconds=link_seconds)
        self._answered = meter().create_histogram(
            "weir.compliance.request.time_to_answer",
            unit="s",
            description="From the receipt of a request to its archive",
            explicit_bucket_boundaries_advisory=_ANSWER_BUCKETS_SECONDS,
        )

    async def __call__(self, tenant_id: TenantId, request_id: UUID) -> Sequence[str]:
        """The stores that must deliver again first; empty when the archive is there and the request fulfilled."""
        request = await self._requests.find(tenant_id, request_id)
        if request is None:
            raise RequestGoneError("request_gone")
        if request.state in (RequestState.FULFILLED, RequestState.EXPIRED):
            return ()
        if request.missing_stores:
            return request.missing_stores
        if request.recipient is None:
            identity, recipient = self._new_identity()
        else:
            identity, recipient = None, request.recipient
        order = PackOrder(
            request_id=request_id,
            staging_identity=await self._requests.staging_identity(tenant_id, request_id),
            recipient=recipient,
            receipts=request.receipts,
            manifest=build_manifest(
                request.heading, request.receipts, self._clock(), await self._audit_log.head(tenant_id)
            ),
            generated_at=self._clock(),
        )
        try:
            packed = await self._archives.pack(order)
        except PartDamagedError as error:
            await self._requests.store_lost(tenant_id, request_id, error.store)
            return (error.store,)
        await self._fulfil(request, order, identity, packed)
        self._archives.remove_parts(request_id)
        age = self._clock() - request.received_at
        self._answered.record(age.total_seconds(), {"weir.regime": request.regime})
        return ()

    async def _fulfil(
        self, request: SubjectRequest, order: PackOrder, identity: str | None, packed: PackedArchive
    ) -> None:
        now = self._clock()
        beside = dict(order.manifest) | {
            "archive": {
                "media_type": "application/age",
                "content": "tar, gzip",
                "bytes": packed.size_bytes,
                "sha256": packed.sha256.hex(),
                "encryption": {
                    "format": "age-encryption.org/v1",
                    "key": "one-time key, handed out once" if identity else "the requester's own",
                },
            }
        }
        await self._requests.fulfil(
            Fulfilment(
                tenant_id=request.tenant_id,
                request_id=request.request_id,
                archive_identity=identity,
                archive_bytes=packed.size_bytes,
                archive_sha256=packed.sha256,
                manifest=json.dumps(beside, ensure_ascii=False).encode(),
                at=now,
                link_expires_at=now + self._link,
            ),
            AuditEntry(
                tenant_id=request.tenant_id,
                actor="compliance",
                actor_kind="service",
                action="subject_request.fulfil",
                object_ref=f"subject_request/{request.request_id}",
                outcome="success",
                detail={
                    "records": str(sum(receipt.records for receipt in request.receipts)),
                    "archive_sha256": packed.sha256.hex(),
                },
                service="compliance",
            ),
        )
