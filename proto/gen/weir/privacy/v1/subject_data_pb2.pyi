from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExportSubjectRequest(_message.Message):
    __slots__ = ("tenant_id", "request_id", "subject")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    request_id: str
    subject: SubjectIdentifiers
    def __init__(self, tenant_id: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[SubjectIdentifiers, _Mapping]] = ...) -> None: ...

class SubjectIdentifiers(_message.Message):
    __slots__ = ("user_ids", "anonymous_ids", "subject_ids")
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    ANONYMOUS_IDS_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_IDS_FIELD_NUMBER: _ClassVar[int]
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    anonymous_ids: _containers.RepeatedScalarFieldContainer[str]
    subject_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, user_ids: _Optional[_Iterable[str]] = ..., anonymous_ids: _Optional[_Iterable[str]] = ..., subject_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ExportSubjectResponse(_message.Message):
    __slots__ = ("record", "summary")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    record: SubjectRecord
    summary: SubjectSummary
    def __init__(self, record: _Optional[_Union[SubjectRecord, _Mapping]] = ..., summary: _Optional[_Union[SubjectSummary, _Mapping]] = ...) -> None: ...

class SubjectRecord(_message.Message):
    __slots__ = ("category", "record_id", "json")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    RECORD_ID_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    category: str
    record_id: str
    json: bytes
    def __init__(self, category: _Optional[str] = ..., record_id: _Optional[str] = ..., json: _Optional[bytes] = ...) -> None: ...

class SubjectSummary(_message.Message):
    __slots__ = ("records", "explanation", "processing")
    RECORDS_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    PROCESSING_FIELD_NUMBER: _ClassVar[int]
    records: int
    explanation: str
    processing: _containers.RepeatedCompositeFieldContainer[ProcessingInfo]
    def __init__(self, records: _Optional[int] = ..., explanation: _Optional[str] = ..., processing: _Optional[_Iterable[_Union[ProcessingInfo, _Mapping]]] = ...) -> None: ...

class ProcessingInfo(_message.Message):
    __slots__ = ("category", "purpose", "legal_basis", "retention")
    CATEGORY_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    LEGAL_BASIS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_FIELD_NUMBER: _ClassVar[int]
    category: str
    purpose: str
    legal_basis: str
    retention: str
    def __init__(self, category: _Optional[str] = ..., purpose: _Optional[str] = ..., legal_basis: _Optional[str] = ..., retention: _Optional[str] = ...) -> None: ...
