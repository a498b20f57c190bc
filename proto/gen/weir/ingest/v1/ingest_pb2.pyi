from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_STATUS_UNSPECIFIED: _ClassVar[EventStatus]
    EVENT_STATUS_ACCEPTED: _ClassVar[EventStatus]
    EVENT_STATUS_DUPLICATE: _ClassVar[EventStatus]
    EVENT_STATUS_INVALID: _ClassVar[EventStatus]
    EVENT_STATUS_UNAVAILABLE: _ClassVar[EventStatus]
    EVENT_STATUS_NOT_TAKEN: _ClassVar[EventStatus]
    EVENT_STATUS_THROTTLED: _ClassVar[EventStatus]
    EVENT_STATUS_QUARANTINED: _ClassVar[EventStatus]

class FateState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FATE_STATE_UNSPECIFIED: _ClassVar[FateState]
    FATE_STATE_DONE: _ClassVar[FateState]
    FATE_STATE_PENDING: _ClassVar[FateState]
    FATE_STATE_UNKNOWN: _ClassVar[FateState]

class Erasure(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERASURE_UNSPECIFIED: _ClassVar[Erasure]
    ERASURE_NONE: _ClassVar[Erasure]
    ERASURE_DONE: _ClassVar[Erasure]
    ERASURE_UNKNOWN: _ClassVar[Erasure]
EVENT_STATUS_UNSPECIFIED: EventStatus
EVENT_STATUS_ACCEPTED: EventStatus
EVENT_STATUS_DUPLICATE: EventStatus
EVENT_STATUS_INVALID: EventStatus
EVENT_STATUS_UNAVAILABLE: EventStatus
EVENT_STATUS_NOT_TAKEN: EventStatus
EVENT_STATUS_THROTTLED: EventStatus
EVENT_STATUS_QUARANTINED: EventStatus
FATE_STATE_UNSPECIFIED: FateState
FATE_STATE_DONE: FateState
FATE_STATE_PENDING: FateState
FATE_STATE_UNKNOWN: FateState
ERASURE_UNSPECIFIED: Erasure
ERASURE_NONE: Erasure
ERASURE_DONE: Erasure
ERASURE_UNKNOWN: Erasure

class PublishBatchRequest(_message.Message):
    __slots__ = ("tenant_id", "events", "atomic", "without_quarantine")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ATOMIC_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_QUARANTINE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    events: _containers.RepeatedScalarFieldContainer[bytes]
    atomic: bool
    without_quarantine: bool
    def __init__(self, tenant_id: _Optional[str] = ..., events: _Optional[_Iterable[bytes]] = ..., atomic: _Optional[bool] = ..., without_quarantine: _Optional[bool] = ...) -> None: ...

class PublishRequest(_message.Message):
    __slots__ = ("tenant_id", "sequence", "events", "atomic", "without_quarantine")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ATOMIC_FIELD_NUMBER: _ClassVar[int]
    WITHOUT_QUARANTINE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    sequence: int
    events: _containers.RepeatedScalarFieldContainer[bytes]
    atomic: bool
    without_quarantine: bool
    def __init__(self, tenant_id: _Optional[str] = ..., sequence: _Optional[int] = ..., events: _Optional[_Iterable[bytes]] = ..., atomic: _Optional[bool] = ..., without_quarantine: _Optional[bool] = ...) -> None: ...

class PublishResponse(_message.Message):
    __slots__ = ("sequence", "results")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    results: _containers.RepeatedCompositeFieldContainer[EventResult]
    def __init__(self, sequence: _Optional[int] = ..., results: _Optional[_Iterable[_Union[EventResult, _Mapping]]] = ...) -> None: ...

class PublishBatchResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[EventResult]
    def __init__(self, results: _Optional[_Iterable[_Union[EventResult, _Mapping]]] = ...) -> None: ...

class EventResult(_message.Message):
    __slots__ = ("status", "event_id", "receipt", "errors", "quarantine_id")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    QUARANTINE_ID_FIELD_NUMBER: _ClassVar[int]
    status: EventStatus
    event_id: str
    receipt: Receipt
    errors: _containers.RepeatedCompositeFieldContainer[FieldError]
    quarantine_id: str
    def __init__(self, status: _Optional[_Union[EventStatus, str]] = ..., event_id: _Optional[str] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., errors: _Optional[_Iterable[_Union[FieldError, _Mapping]]] = ..., quarantine_id: _Optional[str] = ...) -> None: ...

class FieldError(_message.Message):
    __slots__ = ("pointer", "expected", "got")
    POINTER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    GOT_FIELD_NUMBER: _ClassVar[int]
    pointer: str
    expected: str
    got: str
    def __init__(self, pointer: _Optional[str] = ..., expected: _Optional[str] = ..., got: _Optional[str] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("topic", "partition", "offset", "accepted_at", "refused", "withheld")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_AT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    WITHHELD_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    accepted_at: str
    refused: _containers.RepeatedScalarFieldContainer[str]
    withheld: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., accepted_at: _Optional[str] = ..., refused: _Optional[_Iterable[str]] = ..., withheld: _Optional[_Iterable[str]] = ...) -> None: ...

class GetReceiptRequest(_message.Message):
    __slots__ = ("tenant_id", "event_id")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    event_id: str
    def __init__(self, tenant_id: _Optional[str] = ..., event_id: _Optional[str] = ...) -> None: ...

class GetReceiptResponse(_message.Message):
    __slots__ = ("receipt", "fates", "erasure")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    FATES_FIELD_NUMBER: _ClassVar[int]
    ERASURE_FIELD_NUMBER: _ClassVar[int]
    receipt: Receipt
    fates: _containers.RepeatedCompositeFieldContainer[Fate]
    erasure: Erasure
    def __init__(self, receipt: _Optional[_Union[Receipt, _Mapping]] = ..., fates: _Optional[_Iterable[_Union[Fate, _Mapping]]] = ..., erasure: _Optional[_Union[Erasure, str]] = ...) -> None: ...

class Fate(_message.Message):
    __slots__ = ("stage", "by", "state")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    BY_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    stage: str
    by: str
    state: FateState
    def __init__(self, stage: _Optional[str] = ..., by: _Optional[str] = ..., state: _Optional[_Union[FateState, str]] = ...) -> None: ...
