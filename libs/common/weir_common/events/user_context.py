"""Who: the person, the session, the device."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from weir_common.events.part import Part
from weir_common.events.privacy import (
    BEHAVIOUR,
    CLIENT,
    CONSENT,
    COORDINATE,
    DEVICE,
    PLACE,
    PROFILE,
    RISK,
    SCORE,
    SESSION,
    SUBJECT,
)
from weir_common.events.scalars import Count, CountryCode, Instant, Money, Probability, ShortText, Text


class Coordinates(Part):
    """WGS 84 degrees."""

    lat: Annotated[Annotated[float, Meta(ge=-90, le=90)], COORDINATE]
    lon: Annotated[Annotated[float, Meta(ge=-180, le=180)], COORDINATE]


class Geolocation(Part):
    country: Annotated[CountryCode | None, PLACE] = None
    region: Annotated[ShortText | None, PLACE] = None
    city: Annotated[ShortText | None, PLACE] = None
    coordinates: Coordinates | None = None
    accuracy_meters: Annotated[Annotated[float, Meta(ge=0)] | None, PLACE] = None
    ip_derived: Annotated[bool | None, PLACE] = None


class NamedVersion(Part):
    name: Annotated[ShortText | None, CLIENT] = None
    version: Annotated[ShortText | None, CLIENT] = None


class Device(Part):
    type: Annotated[ShortText | None, CLIENT] = None
    brand: Annotated[ShortText | None, CLIENT] = None


class UserAgent(Part):
    browser: NamedVersion | None = None
    os: NamedVersion | None = None
    device: Device | None = None


class SessionAttributes(Part):
    device_fingerprint: Annotated[Text | None, DEVICE] = None
    geolocation: Geolocation | None = None
    user_agent_parsed: UserAgent | None = None


class SessionData(Part):
    session_id: Annotated[Text | None, SESSION] = None
    session_start: Annotated[Instant | None, BEHAVIOUR] = None
    session_sequence: Annotated[Count | None, BEHAVIOUR] = None
    session_attributes: SessionAttributes | None = None


class RiskProfile(Part):
    fraud_score: Annotated[Probability | None, RISK] = None
    credit_rating: Annotated[Literal["A", "B", "C", "D"] | None, RISK] = None
    behavioral_flags: Annotated[list[ShortText] | None, RISK] = None


class PrivacySettings(Part):
    tracking_consent: Annotated[bool | None, CONSENT] = None
    marketing_consent: Annotated[bool | None, CONSENT] = None
    analytics_consent: Annotated[bool | None, CONSENT] = None


class Preferences(Part):
    communication_channels: Annotated[list[ShortText] | None, CONSENT] = None
    privacy_settings: PrivacySettings | None = None


class PredictiveScores(Part):
    churn_probability: Annotated[Probability | None, SCORE] = None
    lifetime_value: Annotated[Money | None, SCORE] = None
    next_purchase_days: Annotated[Annotated[float, Meta(ge=0)] | None, SCORE] = None


class Segmentation(Part):
    customer_tier: Annotated[Literal["platinum", "gold", "silver", "bronze"] | None, SCORE] = None
    lifecycle_stage: Annotated[Literal["acquisition", "activation", "retention", "resurrection"] | None, SCORE] = None
    behavioral_segments: Annotated[list[ShortText] | None, SCORE] = None
    predictive_scores: PredictiveScores | None = None


class UserProfile(Part):
    account_type: Annotated[Literal["premium", "standard", "trial", "enterprise"] | None, PROFILE] = None
    registration_date: Annotated[Instant | None, PROFILE] = None
    verification_status: Annotated[Literal["verified", "pending", "unverified"] | None, PROFILE] = None
    risk_profile: RiskProfile | None = None
    preferences: Preferences | None = None
    segmentation: Segmentation | None = None


class UserContext(Part):
    user_id: Annotated[Text | None, SUBJECT] = None
    anonymous_id: Annotated[Text | None, SUBJECT] = None
    session_data: SessionData | None = None
    user_profile: UserProfile | None = None
