import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from weir.privacy.v1 import subject_data_pb2 as _subject_data_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RightsStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RIGHTS_STATUS_UNSPECIFIED: _ClassVar[RightsStatus]
    RIGHTS_STATUS_OPEN: _ClassVar[RightsStatus]
    RIGHTS_STATUS_IN_PROGRESS: _ClassVar[RightsStatus]
    RIGHTS_STATUS_FULFILLED: _ClassVar[RightsStatus]
    RIGHTS_STATUS_EXPIRED: _ClassVar[RightsStatus]
RIGHTS_STATUS_UNSPECIFIED: RightsStatus
RIGHTS_STATUS_OPEN: RightsStatus
RIGHTS_STATUS_IN_PROGRESS: RightsStatus
RIGHTS_STATUS_FULFILLED: RightsStatus
RIGHTS_STATUS_EXPIRED: RightsStatus

class StartExportRequest(_message.Message):
    __slots__ = ("tenant_id", "subject", "regime", "reference", "reason", "recipient", "requested_by", "idempotency_key")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RECIPIENT_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    subject: _subject_data_pb2.SubjectIdentifiers
    regime: str
    reference: str
    reason: str
    recipient: str
    requested_by: str
    idempotency_key: str
    def __init__(self, tenant_id: _Optional[str] = ..., subject: _Optional[_Union[_subject_data_pb2.SubjectIdentifiers, _Mapping]] = ..., regime: _Optional[str] = ..., reference: _Optional[str] = ..., reason: _Optional[str] = ..., recipient: _Optional[str] = ..., requested_by: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class StartExportResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: SubjectRequest
    def __init__(self, request: _Optional[_Union[SubjectRequest, _Mapping]] = ...) -> None: ...

class GetSubjectRequestRequest(_message.Message):
    __slots__ = ("tenant_id", "request_id")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    request_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class GetSubjectRequestResponse(_message.Message):
    __slots__ = ("request",)
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    request: SubjectRequest
    def __init__(self, request: _Optional[_Union[SubjectRequest, _Mapping]] = ...) -> None: ...

class SubjectRequest(_message.Message):
    __slots__ = ("tenant_id", "request_id", "kind", "regime", "status", "received_at", "due_at", "stores", "escalation")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REGIME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_FIELD_NUMBER: _ClassVar[int]
    STORES_FIELD_NUMBER: _ClassVar[int]
    ESCALATION_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    request_id: str
    kind: str
    regime: str
    status: RightsStatus
    received_at: _timestamp_pb2.Timestamp
    due_at: _timestamp_pb2.Timestamp
    stores: _containers.RepeatedCompositeFieldContainer[StoreProgress]
    escalation: str
    def __init__(self, tenant_id: _Optional[str] = ..., request_id: _Optional[str] = ..., kind: _Optional[str] = ..., regime: _Optional[str] = ..., status: _Optional[_Union[RightsStatus, str]] = ..., received_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., due_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stores: _Optional[_Iterable[_Union[StoreProgress, _Mapping]]] = ..., escalation: _Optional[str] = ...) -> None: ...

class StoreProgress(_message.Message):
    __slots__ = ("store", "state", "attempts", "records", "error_code")
    STORE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    store: str
    state: str
    attempts: int
    records: int
    error_code: str
    def __init__(self, store: _Optional[str] = ..., state: _Optional[str] = ..., attempts: _Optional[int] = ..., records: _Optional[int] = ..., error_code: _Optional[str] = ...) -> None: ...

class GetAuditHeadRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetAuditHeadResponse(_message.Message):
    __slots__ = ("log_id", "size", "hash")
    LOG_ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    log_id: str
    size: int
    hash: bytes
    def __init__(self, log_id: _Optional[str] = ..., size: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...
