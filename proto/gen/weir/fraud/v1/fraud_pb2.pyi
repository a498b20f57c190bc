import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_APPROVE: _ClassVar[Outcome]
    OUTCOME_REVIEW: _ClassVar[Outcome]
    OUTCOME_DECLINE: _ClassVar[Outcome]

class Explanation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPLANATION_UNSPECIFIED: _ClassVar[Explanation]
    EXPLANATION_COMPLETE: _ClassVar[Explanation]
    EXPLANATION_DEFERRED: _ClassVar[Explanation]
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_APPROVE: Outcome
OUTCOME_REVIEW: Outcome
OUTCOME_DECLINE: Outcome
EXPLANATION_UNSPECIFIED: Explanation
EXPLANATION_COMPLETE: Explanation
EXPLANATION_DEFERRED: Explanation

class ScoreTransactionRequest(_message.Message):
    __slots__ = ("tenant_id", "event")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    event: bytes
    def __init__(self, tenant_id: _Optional[str] = ..., event: _Optional[bytes] = ...) -> None: ...

class ScoreTransactionResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ...) -> None: ...

class ScoreTransactionsRequest(_message.Message):
    __slots__ = ("tenant_id", "events")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    events: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, tenant_id: _Optional[str] = ..., events: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ScoreTransactionsResponse(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[ScoredTransaction]
    def __init__(self, results: _Optional[_Iterable[_Union[ScoredTransaction, _Mapping]]] = ...) -> None: ...

class ScoredTransaction(_message.Message):
    __slots__ = ("decision", "refusal")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    refusal: Refusal
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ..., refusal: _Optional[_Union[Refusal, _Mapping]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("detail", "violations")
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    VIOLATIONS_FIELD_NUMBER: _ClassVar[int]
    detail: str
    violations: _containers.RepeatedCompositeFieldContainer[FieldViolation]
    def __init__(self, detail: _Optional[str] = ..., violations: _Optional[_Iterable[_Union[FieldViolation, _Mapping]]] = ...) -> None: ...

class FieldViolation(_message.Message):
    __slots__ = ("pointer", "expected", "got")
    POINTER_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    GOT_FIELD_NUMBER: _ClassVar[int]
    pointer: str
    expected: str
    got: str
    def __init__(self, pointer: _Optional[str] = ..., expected: _Optional[str] = ..., got: _Optional[str] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("tenant_id", "event_id", "transaction_id", "outcome", "score", "reason_codes", "margin", "base_value", "reasons", "contributions", "model_version", "thresholds", "event_time", "decided_time", "latency", "model_outcome", "policy_version", "policy_rule", "policy_errors", "degraded", "explanation", "declines_halted")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    REASON_CODES_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    BASE_VALUE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    MODEL_VERSION_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    DECIDED_TIME_FIELD_NUMBER: _ClassVar[int]
    LATENCY_FIELD_NUMBER: _ClassVar[int]
    MODEL_OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERSION_FIELD_NUMBER: _ClassVar[int]
    POLICY_RULE_FIELD_NUMBER: _ClassVar[int]
    POLICY_ERRORS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    DECLINES_HALTED_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    event_id: str
    transaction_id: str
    outcome: Outcome
    score: float
    reason_codes: _containers.RepeatedScalarFieldContainer[str]
    margin: float
    base_value: float
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    model_version: str
    thresholds: Thresholds
    event_time: _timestamp_pb2.Timestamp
    decided_time: _timestamp_pb2.Timestamp
    latency: _duration_pb2.Duration
    model_outcome: Outcome
    policy_version: int
    policy_rule: str
    policy_errors: _containers.RepeatedScalarFieldContainer[str]
    degraded: _containers.RepeatedScalarFieldContainer[str]
    explanation: Explanation
    declines_halted: bool
    def __init__(self, tenant_id: _Optional[str] = ..., event_id: _Optional[str] = ..., transaction_id: _Optional[str] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., score: _Optional[float] = ..., reason_codes: _Optional[_Iterable[str]] = ..., margin: _Optional[float] = ..., base_value: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ..., model_version: _Optional[str] = ..., thresholds: _Optional[_Union[Thresholds, _Mapping]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., decided_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., latency: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., model_outcome: _Optional[_Union[Outcome, str]] = ..., policy_version: _Optional[int] = ..., policy_rule: _Optional[str] = ..., policy_errors: _Optional[_Iterable[str]] = ..., degraded: _Optional[_Iterable[str]] = ..., explanation: _Optional[_Union[Explanation, str]] = ..., declines_halted: _Optional[bool] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "text", "contribution", "shopper_text")
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    SHOPPER_TEXT_FIELD_NUMBER: _ClassVar[int]
    code: str
    text: str
    contribution: float
    shopper_text: str
    def __init__(self, code: _Optional[str] = ..., text: _Optional[str] = ..., contribution: _Optional[float] = ..., shopper_text: _Optional[str] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("feature", "value", "contribution", "reason_code")
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    REASON_CODE_FIELD_NUMBER: _ClassVar[int]
    feature: str
    value: float
    contribution: float
    reason_code: str
    def __init__(self, feature: _Optional[str] = ..., value: _Optional[float] = ..., contribution: _Optional[float] = ..., reason_code: _Optional[str] = ...) -> None: ...

class Thresholds(_message.Message):
    __slots__ = ("review", "decline")
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    review: float
    decline: float
    def __init__(self, review: _Optional[float] = ..., decline: _Optional[float] = ...) -> None: ...
