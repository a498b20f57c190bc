"""Asking the services for a subject's data over gRPC."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import UUID

import grpc
import grpc.aio
from weir.privacy.v1 import subject_data_pb2, subject_data_pb2_grpc
from weir_common.ids import TenantId

from weir_compliance.domain.manifest import Processing
from weir_compliance.domain.subject import Subject
from weir_compliance.errors import StoreFalseError, StoreRefusedError, StoreUnavailableError
from weir_compliance.ports import SubjectRecord, SubjectSummary

# These say that the same call will be refused again; everything else may go away by itself (a release that does not
# serve the call yet is UNIMPLEMENTED, and replaced some day).
_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


class GrpcSubjectData:
    """`SubjectDataSource` over one channel a service. `idle_seconds` is the deadline for each next record."""

    def __init__(
        self, channels: Mapping[str, grpc.aio.Channel], *, timeout_seconds: float, idle_seconds: float
    ) -> None:
        self._stubs = {
            store: subject_data_pb2_grpc.SubjectDataServiceStub(channel) for store, channel in channels.items()
        }
        self._timeout_seconds = timeout_seconds
        self._idle_seconds = idle_seconds

    async def records(
        self, store: str, tenant_id: TenantId, request_id: UUID, subject: Subject, subject_ids: Sequence[str]
    ) -> AsyncIterator[SubjectRecord | SubjectSummary]:
        stub = self._stubs.get(store)
        if stub is None:
            raise StoreRefusedError("unknown_store")
        call = stub.ExportSubject(
            subject_data_pb2.ExportSubjectRequest(
                tenant_id=tenant_id,
                request_id=str(request_id),
                subject=subject_data_pb2.SubjectIdentifiers(
                    user_ids=subject.user_ids, anonymous_ids=subject.anonymous_ids, subject_ids=subject_ids
                ),
            ),
            timeout=self._timeout_seconds,
        )
        try:
            while True:
                async with asyncio.timeout(self._idle_seconds):
                    message = await call.read()
                if message is grpc.aio.EOF:
                    return
                yield _item(message)
        except TimeoutError:
            raise StoreUnavailableError("idle") from None
        except grpc.aio.AioRpcError as error:
            # Its details are the other service's words and may hold anything: only the code goes on.
            code = error.code().name.lower()
            if error.code() in _REFUSALS:
                raise StoreRefusedError(code) from None
            raise StoreUnavailableError(code) from None
        finally:
            # A streaming call that is not cancelled lives on after its reader is gone.
            call.cancel()


def _item(message: subject_data_pb2.ExportSubjectResponse) -> SubjectRecord | SubjectSummary:
    match message.WhichOneof("item"):
        case "record":
            return SubjectRecord(message.record.category, message.record.record_id, message.record.json)
        case "summary":
            return SubjectSummary(
                message.summary.records,
                message.summary.explanation,
                tuple(
                    Processing(one.category, one.purpose, one.legal_basis, one.retention)
                    for one in message.summary.processing
                ),
            )
        case _:
            raise StoreFalseError("unknown_item")
