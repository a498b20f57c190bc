"""What was looked at and clicked: journey, page, experiments."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from weir_common.events.part import SINCE_2_2, Part
from weir_common.events.privacy import BEHAVIOUR, OPERATIONS, PAGE, WORDS
from weir_common.events.scalars import Count, Instant, Milliseconds, ShortText, Url


class Touchpoint(Part):
    touchpoint: Annotated[ShortText | None, WORDS] = None
    campaign_id: Annotated[ShortText | None, WORDS] = None
    timestamp: Annotated[Instant | None, BEHAVIOUR] = None
    attribution_weight: Annotated[float | None, BEHAVIOUR] = None


class PageLoadMetrics(Part):
    time_to_first_byte: Annotated[Milliseconds | None, OPERATIONS] = None
    first_contentful_paint: Annotated[Milliseconds | None, OPERATIONS] = None
    largest_contentful_paint: Annotated[Milliseconds | None, OPERATIONS] = None
    cumulative_layout_shift: Annotated[Annotated[float, Meta(ge=0)] | None, OPERATIONS] = None
    first_input_delay: Annotated[Milliseconds | None, OPERATIONS] = None
    interaction_to_next_paint: Annotated[Milliseconds | None, OPERATIONS, SINCE_2_2] = None


class Point(Part):
    x: Annotated[float | None, BEHAVIOUR] = None
    y: Annotated[float | None, BEHAVIOUR] = None


class UserInteraction(Part):
    interaction_type: Annotated[Literal["click", "scroll", "hover", "form_input"] | None, BEHAVIOUR] = None
    element_id: Annotated[ShortText | None, WORDS] = None
    timestamp: Annotated[Instant | None, BEHAVIOUR] = None
    coordinates: Point | None = None
    interaction_sequence: Annotated[Count | None, BEHAVIOUR] = None


class PageContext(Part):
    page_type: Annotated[ShortText | None, BEHAVIOUR] = None
    page_url: Annotated[Url | None, PAGE] = None
    referrer_url: Annotated[Url | None, PAGE] = None
    page_load_metrics: PageLoadMetrics | None = None
    user_interactions: list[UserInteraction] | None = None


class ActiveExperiment(Part):
    experiment_id: Annotated[ShortText | None, BEHAVIOUR] = None
    variant: Annotated[ShortText | None, BEHAVIOUR] = None
    allocation_timestamp: Annotated[Instant | None, BEHAVIOUR] = None
    experiment_type: Annotated[Literal["ui_test", "algorithm_test", "feature_flag"] | None, BEHAVIOUR] = None


class FeatureFlag(Part):
    flag_name: Annotated[ShortText | None, BEHAVIOUR] = None
    enabled: Annotated[bool | None, BEHAVIOUR] = None
    variant: Annotated[ShortText | None, BEHAVIOUR] = None
    rollout_percentage: Annotated[Annotated[float, Meta(ge=0, le=100)] | None, BEHAVIOUR] = None


class ExperimentContext(Part):
    active_experiments: list[ActiveExperiment] | None = None
    feature_flags: list[FeatureFlag] | None = None


class InteractionContext(Part):
    touchpoint_journey: list[Touchpoint] | None = None
    page_context: PageContext | None = None
    experiment_context: ExperimentContext | None = None
