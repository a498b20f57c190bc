import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Additivity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ADDITIVITY_UNSPECIFIED: _ClassVar[Additivity]
    ADDITIVITY_ADDITIVE: _ClassVar[Additivity]
    ADDITIVITY_SEMI_ADDITIVE: _ClassVar[Additivity]
    ADDITIVITY_RATIO: _ClassVar[Additivity]
    ADDITIVITY_DISTINCT: _ClassVar[Additivity]
    ADDITIVITY_QUANTILE: _ClassVar[Additivity]
    ADDITIVITY_TOP: _ClassVar[Additivity]
ADDITIVITY_UNSPECIFIED: Additivity
ADDITIVITY_ADDITIVE: Additivity
ADDITIVITY_SEMI_ADDITIVE: Additivity
ADDITIVITY_RATIO: Additivity
ADDITIVITY_DISTINCT: Additivity
ADDITIVITY_QUANTILE: Additivity
ADDITIVITY_TOP: Additivity

class GetDashboardRequest(_message.Message):
    __slots__ = ("tenant_id", "start_time", "end_time", "currency")
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    currency: str
    def __init__(self, tenant_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., currency: _Optional[str] = ...) -> None: ...

class GetDashboardResponse(_message.Message):
    __slots__ = ("tenant_id", "start_time", "end_time", "step_seconds", "first_bucket", "as_of", "freshness", "metrics", "left_out")
    class LeftOutEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    STEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BUCKET_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    tenant_id: str
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    step_seconds: int
    first_bucket: _timestamp_pb2.Timestamp
    as_of: _timestamp_pb2.Timestamp
    freshness: Freshness
    metrics: _containers.RepeatedCompositeFieldContainer[MetricFigures]
    left_out: _containers.ScalarMap[str, int]
    def __init__(self, tenant_id: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., step_seconds: _Optional[int] = ..., first_bucket: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., as_of: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., freshness: _Optional[_Union[Freshness, _Mapping]] = ..., metrics: _Optional[_Iterable[_Union[MetricFigures, _Mapping]]] = ..., left_out: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Freshness(_message.Message):
    __slots__ = ("newest_event_time", "newest_accepted_time", "applied_time")
    NEWEST_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    NEWEST_ACCEPTED_TIME_FIELD_NUMBER: _ClassVar[int]
    APPLIED_TIME_FIELD_NUMBER: _ClassVar[int]
    newest_event_time: _timestamp_pb2.Timestamp
    newest_accepted_time: _timestamp_pb2.Timestamp
    applied_time: _timestamp_pb2.Timestamp
    def __init__(self, newest_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., newest_accepted_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., applied_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class MetricFigures(_message.Message):
    __slots__ = ("metric", "figures", "series")
    METRIC_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    SERIES_FIELD_NUMBER: _ClassVar[int]
    metric: str
    figures: _containers.RepeatedCompositeFieldContainer[Figure]
    series: _containers.RepeatedCompositeFieldContainer[Series]
    def __init__(self, metric: _Optional[str] = ..., figures: _Optional[_Iterable[_Union[Figure, _Mapping]]] = ..., series: _Optional[_Iterable[_Union[Series, _Mapping]]] = ...) -> None: ...

class Figure(_message.Message):
    __slots__ = ("dimensions", "value")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    dimensions: _containers.ScalarMap[str, str]
    value: FigureValue
    def __init__(self, dimensions: _Optional[_Mapping[str, str]] = ..., value: _Optional[_Union[FigureValue, _Mapping]] = ...) -> None: ...

class Series(_message.Message):
    __slots__ = ("dimensions", "points")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    POINTS_FIELD_NUMBER: _ClassVar[int]
    dimensions: _containers.ScalarMap[str, str]
    points: _containers.RepeatedCompositeFieldContainer[FigureValue]
    def __init__(self, dimensions: _Optional[_Mapping[str, str]] = ..., points: _Optional[_Iterable[_Union[FigureValue, _Mapping]]] = ...) -> None: ...

class FigureValue(_message.Message):
    __slots__ = ("total", "ratio", "distinct", "quantile", "top")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    DISTINCT_FIELD_NUMBER: _ClassVar[int]
    QUANTILE_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    total: Total
    ratio: Ratio
    distinct: Distinct
    quantile: Quantile
    top: TopList
    def __init__(self, total: _Optional[_Union[Total, _Mapping]] = ..., ratio: _Optional[_Union[Ratio, _Mapping]] = ..., distinct: _Optional[_Union[Distinct, _Mapping]] = ..., quantile: _Optional[_Union[Quantile, _Mapping]] = ..., top: _Optional[_Union[TopList, _Mapping]] = ...) -> None: ...

class Total(_message.Message):
    __slots__ = ("value", "count")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    value: str
    count: int
    def __init__(self, value: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class Ratio(_message.Message):
    __slots__ = ("value", "numerator", "denominator")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NUMERATOR_FIELD_NUMBER: _ClassVar[int]
    DENOMINATOR_FIELD_NUMBER: _ClassVar[int]
    value: str
    numerator: str
    denominator: str
    def __init__(self, value: _Optional[str] = ..., numerator: _Optional[str] = ..., denominator: _Optional[str] = ...) -> None: ...

class Distinct(_message.Message):
    __slots__ = ("count", "exact")
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    count: int
    exact: bool
    def __init__(self, count: _Optional[int] = ..., exact: _Optional[bool] = ...) -> None: ...

class Quantile(_message.Message):
    __slots__ = ("value", "count")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    value: float
    count: int
    def __init__(self, value: _Optional[float] = ..., count: _Optional[int] = ...) -> None: ...

class TopList(_message.Message):
    __slots__ = ("places",)
    PLACES_FIELD_NUMBER: _ClassVar[int]
    places: _containers.RepeatedCompositeFieldContainer[Place]
    def __init__(self, places: _Optional[_Iterable[_Union[Place, _Mapping]]] = ...) -> None: ...

class Place(_message.Message):
    __slots__ = ("item", "value", "count")
    ITEM_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    item: str
    value: str
    count: int
    def __init__(self, item: _Optional[str] = ..., value: _Optional[str] = ..., count: _Optional[int] = ...) -> None: ...

class ListMetricsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListMetricsResponse(_message.Message):
    __slots__ = ("metrics",)
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[MetricDefinition]
    def __init__(self, metrics: _Optional[_Iterable[_Union[MetricDefinition, _Mapping]]] = ...) -> None: ...

class MetricDefinition(_message.Message):
    __slots__ = ("name", "title", "additivity", "unit", "dimensions", "source", "filter", "value", "description", "follows", "trap", "purpose", "asks_consent")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    ADDITIVITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    FOLLOWS_FIELD_NUMBER: _ClassVar[int]
    TRAP_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    ASKS_CONSENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    additivity: Additivity
    unit: str
    dimensions: _containers.RepeatedScalarFieldContainer[str]
    source: str
    filter: str
    value: str
    description: str
    follows: str
    trap: str
    purpose: str
    asks_consent: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., additivity: _Optional[_Union[Additivity, str]] = ..., unit: _Optional[str] = ..., dimensions: _Optional[_Iterable[str]] = ..., source: _Optional[str] = ..., filter: _Optional[str] = ..., value: _Optional[str] = ..., description: _Optional[str] = ..., follows: _Optional[str] = ..., trap: _Optional[str] = ..., purpose: _Optional[str] = ..., asks_consent: _Optional[_Iterable[str]] = ...) -> None: ...
