import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Tier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIER_UNSPECIFIED: _ClassVar[Tier]
    TIER_TRIAL: _ClassVar[Tier]
    TIER_STANDARD: _ClassVar[Tier]
    TIER_PREMIUM: _ClassVar[Tier]
    TIER_ENTERPRISE: _ClassVar[Tier]

class Isolation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ISOLATION_UNSPECIFIED: _ClassVar[Isolation]
    ISOLATION_POOL: _ClassVar[Isolation]
    ISOLATION_BRIDGE: _ClassVar[Isolation]
    ISOLATION_SILO: _ClassVar[Isolation]

class TenantStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TENANT_STATUS_UNSPECIFIED: _ClassVar[TenantStatus]
    TENANT_STATUS_ACTIVE: _ClassVar[TenantStatus]
    TENANT_STATUS_SUSPENDED: _ClassVar[TenantStatus]
TIER_UNSPECIFIED: Tier
TIER_TRIAL: Tier
TIER_STANDARD: Tier
TIER_PREMIUM: Tier
TIER_ENTERPRISE: Tier
ISOLATION_UNSPECIFIED: Isolation
ISOLATION_POOL: Isolation
ISOLATION_BRIDGE: Isolation
ISOLATION_SILO: Isolation
TENANT_STATUS_UNSPECIFIED: TenantStatus
TENANT_STATUS_ACTIVE: TenantStatus
TENANT_STATUS_SUSPENDED: TenantStatus

class Tenant(_message.Message):
    __slots__ = ("tenant_id", "name", "tier", "vertical", "isolation", "status", "quota_events_per_second", "created_at")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    VERTICAL_FIELD_NUMBER: _ClassVar[int]
    ISOLATION_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    QUOTA_EVENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    name: str
    tier: Tier
    vertical: str
    isolation: Isolation
    status: TenantStatus
    quota_events_per_second: float
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, tenant_id: _Optional[str] = ..., name: _Optional[str] = ..., tier: _Optional[_Union[Tier, str]] = ..., vertical: _Optional[str] = ..., isolation: _Optional[_Union[Isolation, str]] = ..., status: _Optional[_Union[TenantStatus, str]] = ..., quota_events_per_second: _Optional[float] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class GetTenantRequest(_message.Message):
    __slots__ = ("tenant_id",)
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    def __init__(self, tenant_id: _Optional[str] = ...) -> None: ...

class GetTenantResponse(_message.Message):
    __slots__ = ("tenant",)
    TENANT_FIELD_NUMBER: _ClassVar[int]
    tenant: Tenant
    def __init__(self, tenant: _Optional[_Union[Tenant, _Mapping]] = ...) -> None: ...

class ListTenantsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTenantsResponse(_message.Message):
    __slots__ = ("tenants", "next_page_token")
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenants: _containers.RepeatedCompositeFieldContainer[Tenant]
    next_page_token: str
    def __init__(self, tenants: _Optional[_Iterable[_Union[Tenant, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PlanScaleRequest(_message.Message):
    __slots__ = ("tenant_id", "service", "target", "minimum", "maximum")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    service: str
    target: int
    minimum: int
    maximum: int
    def __init__(self, tenant_id: _Optional[str] = ..., service: _Optional[str] = ..., target: _Optional[int] = ..., minimum: _Optional[int] = ..., maximum: _Optional[int] = ...) -> None: ...

class PlanScaleResponse(_message.Message):
    __slots__ = ("plan",)
    PLAN_FIELD_NUMBER: _ClassVar[int]
    plan: ScalePlan
    def __init__(self, plan: _Optional[_Union[ScalePlan, _Mapping]] = ...) -> None: ...

class ScalePlan(_message.Message):
    __slots__ = ("plan_id", "tenant_id", "service", "as_of", "expires_at", "inputs", "steps", "binding_constraint", "current", "proposed", "minimum", "maximum", "hold", "risks", "admission", "admission_reason", "hash", "document_json")
    PLAN_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    BINDING_CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    RISKS_FIELD_NUMBER: _ClassVar[int]
    ADMISSION_FIELD_NUMBER: _ClassVar[int]
    ADMISSION_REASON_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_JSON_FIELD_NUMBER: _ClassVar[int]
    plan_id: str
    tenant_id: str
    service: str
    as_of: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    inputs: _containers.RepeatedCompositeFieldContainer[PlanInput]
    steps: _containers.RepeatedCompositeFieldContainer[PlanStep]
    binding_constraint: str
    current: int
    proposed: int
    minimum: int
    maximum: int
    hold: bool
    risks: _containers.RepeatedScalarFieldContainer[str]
    admission: str
    admission_reason: str
    hash: str
    document_json: str
    def __init__(self, plan_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., service: _Optional[str] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., inputs: _Optional[_Iterable[_Union[PlanInput, _Mapping]]] = ..., steps: _Optional[_Iterable[_Union[PlanStep, _Mapping]]] = ..., binding_constraint: _Optional[str] = ..., current: _Optional[int] = ..., proposed: _Optional[int] = ..., minimum: _Optional[int] = ..., maximum: _Optional[int] = ..., hold: _Optional[bool] = ..., risks: _Optional[_Iterable[str]] = ..., admission: _Optional[str] = ..., admission_reason: _Optional[str] = ..., hash: _Optional[str] = ..., document_json: _Optional[str] = ...) -> None: ...

class PlanInput(_message.Message):
    __slots__ = ("name", "value", "unit", "age_seconds", "source")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    unit: str
    age_seconds: float
    source: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., unit: _Optional[str] = ..., age_seconds: _Optional[float] = ..., source: _Optional[str] = ...) -> None: ...

class PlanStep(_message.Message):
    __slots__ = ("formula", "result")
    FORMULA_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    formula: str
    result: str
    def __init__(self, formula: _Optional[str] = ..., result: _Optional[str] = ...) -> None: ...

class GetRequiredReplicasRequest(_message.Message):
    __slots__ = ("tenant_id", "service")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    service: str
    def __init__(self, tenant_id: _Optional[str] = ..., service: _Optional[str] = ...) -> None: ...

class GetRequiredReplicasResponse(_message.Message):
    __slots__ = ("required", "reason", "sample_age_seconds")
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SAMPLE_AGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    required: int
    reason: str
    sample_age_seconds: float
    def __init__(self, required: _Optional[int] = ..., reason: _Optional[str] = ..., sample_age_seconds: _Optional[float] = ...) -> None: ...
