"""The public contract: event schema 2.1, defined once. JSON Schema, OpenAPI and the docs are generated from here.

Required: schema_version, tenant_id, event_id, timestamp, source_system, event_type, event_subtype. All else is optional
and typed. Unknown fields are allowed and kept, since the log carries the event as it was sent. Consumers do not use these
structs: each declares the few fields that it needs, which decodes three times as fast.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from weir_common.ids import SubjectId

SCHEMA_VERSION = "2.1"

TenantName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$", description="The merchant's identifier")]
Text = Annotated[str, Meta(max_length=1_024)]
ShortText = Annotated[str, Meta(max_length=256)]
Url = Annotated[str, Meta(max_length=8_192)]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with offset")]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}$", description="ISO 4217")]
Money = Decimal
Probability = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=0)]


class Part(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """A part of the event; unknown members are allowed."""


# ── who ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Coordinates(Part):
    """WGS 84 degrees."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]


class Geolocation(Part):
    country: CountryCode | None = None
    region: ShortText | None = None
    city: ShortText | None = None
    coordinates: Coordinates | None = None
    accuracy_meters: Annotated[float, Meta(ge=0)] | None = None
    ip_derived: bool | None = None


class NamedVersion(Part):
    name: ShortText | None = None
    version: ShortText | None = None


class Device(Part):
    type: ShortText | None = None
    brand: ShortText | None = None


class UserAgent(Part):
    browser: NamedVersion | None = None
    os: NamedVersion | None = None
    device: Device | None = None


class SessionAttributes(Part):
    device_fingerprint: Text | None = None
    geolocation: Geolocation | None = None
    user_agent_parsed: UserAgent | None = None


class SessionData(Part):
    session_id: Text | None = None
    session_start: Instant | None = None
    session_sequence: Count | None = None
    session_attributes: SessionAttributes | None = None


class RiskProfile(Part):
    fraud_score: Probability | None = None
    credit_rating: Literal["A", "B", "C", "D"] | None = None
    behavioral_flags: list[ShortText] | None = None


class PrivacySettings(Part):
    tracking_consent: bool | None = None
    marketing_consent: bool | None = None
    analytics_consent: bool | None = None


class Preferences(Part):
    communication_channels: list[ShortText] | None = None
    privacy_settings: PrivacySettings | None = None


class PredictiveScores(Part):
    churn_probability: Probability | None = None
    lifetime_value: Money | None = None
    next_purchase_days: Annotated[float, Meta(ge=0)] | None = None


class Segmentation(Part):
    customer_tier: Literal["platinum", "gold", "silver", "bronze"] | None = None
    lifecycle_stage: Literal["acquisition", "activation", "retention", "resurrection"] | None = None
    behavioral_segments: list[ShortText] | None = None
    predictive_scores: PredictiveScores | None = None


class UserProfile(Part):
    account_type: Literal["premium", "standard", "trial", "enterprise"] | None = None
    registration_date: Instant | None = None
    verification_status: Literal["verified", "pending", "unverified"] | None = None
    risk_profile: RiskProfile | None = None
    preferences: Preferences | None = None
    segmentation: Segmentation | None = None


class UserContext(Part):
    user_id: Text | None = None
    anonymous_id: Text | None = None
    session_data: SessionData | None = None
    user_profile: UserProfile | None = None


# ── what business ───────────────────────────────────────────────────────────────────────────────────────────────────────


class TenantMetadata(Part):
    merchant_id: ShortText | None = None
    merchant_tier: Literal["enterprise", "standard", "startup"] | None = None
    industry_vertical: ShortText | None = None
    geographic_markets: list[ShortText] | None = None
    business_model: Literal["b2c", "b2b", "marketplace", "subscription"] | None = None


class ProductHierarchy(Part):
    category_l1: ShortText | None = None
    category_l2: ShortText | None = None
    category_l3: ShortText | None = None
    brand: ShortText | None = None
    model: ShortText | None = None


class Pricing(Part):
    list_price: Money | None = None
    sale_price: Money | None = None
    cost_basis: Money | None = None
    margin_percentage: float | None = None
    tax_category: Literal["standard", "luxury", "exempt"] | None = None
    currency: CurrencyCode | None = None


class Inventory(Part):
    sku_availability: Literal["in_stock", "low_stock", "backorder", "discontinued"] | None = None
    quantity_available: int | None = None
    warehouse_location: ShortText | None = None
    supplier_id: ShortText | None = None


class Dimensions(Part):
    height: float | None = None
    width: float | None = None
    depth: float | None = None


class ProductAttributes(Part):
    color: ShortText | None = None
    storage: ShortText | None = None
    condition: Literal["new", "refurbished", "used"] | None = None
    warranty_months: Count | None = None
    dimensions: Dimensions | None = None
    weight_grams: Annotated[float, Meta(ge=0)] | None = None
    certifications: list[ShortText] | None = None


class ProductPerformance(Part):
    view_count_24h: Count | None = None
    conversion_rate_7d: float | None = None
    return_rate_30d: float | None = None
    review_average: float | None = None
    review_count: Count | None = None


class Product(Part):
    product_id: ShortText | None = None
    product_hierarchy: ProductHierarchy | None = None
    pricing: Pricing | None = None
    inventory: Inventory | None = None
    attributes: ProductAttributes | None = None
    performance_metrics: ProductPerformance | None = None


class Tax(Part):
    type: ShortText | None = None
    rate: float | None = None
    amount: Money | None = None


class ShippingCosts(Part):
    base_shipping: Money | None = None
    expedited_fee: Money | None = None
    insurance: Money | None = None


class Discount(Part):
    discount_id: ShortText | None = None
    discount_type: Literal["percentage", "fixed_amount", "buy_x_get_y"] | None = None
    discount_value: Money | None = None
    discount_amount: Money | None = None
    eligibility_rules: list[ShortText] | None = None


class LoyaltyBenefits(Part):
    points_earned: float | None = None
    points_redeemed: float | None = None
    tier_bonus_multiplier: float | None = None
    cashback_percentage: float | None = None


class CartValue(Part):
    subtotal: Money | None = None
    tax_breakdown: list[Tax] | None = None
    shipping_costs: ShippingCosts | None = None
    discounts_applied: list[Discount] | None = None
    loyalty_benefits: LoyaltyBenefits | None = None
    final_total: Money | None = None


class Address(Part):
    address_hash: Text | None = None
    same_as_billing: bool | None = None
    country: CountryCode | None = None
    postal_code: ShortText | None = None
    address_type: Literal["residential", "commercial", "po_box"] | None = None


class RiskSignals(Part):
    first_time_payment: bool | None = None
    velocity_flag: bool | None = None
    geo_mismatch: bool | None = None
    fraud_score: Probability | None = None


class PaymentMethod(Part):
    method_type: Literal["credit_card", "debit_card", "digital_wallet", "bnpl", "crypto"] | None = None
    provider: ShortText | None = None
    tokenized_identifier: Text | None = None
    billing_address: Address | None = None
    risk_signals: RiskSignals | None = None


class ShippingMethod(Part):
    carrier: ShortText | None = None
    service_level: Literal["ground", "express", "overnight", "same_day"] | None = None
    estimated_delivery: Instant | None = None
    tracking_enabled: bool | None = None
    signature_required: bool | None = None


class ShippingContext(Part):
    shipping_address: Address | None = None
    shipping_method: ShippingMethod | None = None


class PaymentContext(Part):
    payment_methods: list[PaymentMethod] | None = None
    shipping_context: ShippingContext | None = None


class CartContext(Part):
    cart_id: Text | None = None
    cart_value: CartValue | None = None
    payment_context: PaymentContext | None = None


class TransactionContext(Part):
    products: list[Product] | None = None
    cart_context: CartContext | None = None


class Touchpoint(Part):
    touchpoint: ShortText | None = None
    campaign_id: ShortText | None = None
    timestamp: Instant | None = None
    attribution_weight: float | None = None


class PageLoadMetrics(Part):
    time_to_first_byte: Milliseconds | None = None
    first_contentful_paint: Milliseconds | None = None
    largest_contentful_paint: Milliseconds | None = None
    cumulative_layout_shift: Annotated[float, Meta(ge=0)] | None = None
    first_input_delay: Milliseconds | None = None


class Point(Part):
    x: float | None = None
    y: float | None = None


class UserInteraction(Part):
    interaction_type: Literal["click", "scroll", "hover", "form_input"] | None = None
    element_id: ShortText | None = None
    timestamp: Instant | None = None
    coordinates: Point | None = None
    interaction_sequence: Count | None = None


class PageContext(Part):
    page_type: ShortText | None = None
    page_url: Url | None = None
    referrer_url: Url | None = None
    page_load_metrics: PageLoadMetrics | None = None
    user_interactions: list[UserInteraction] | None = None


class ActiveExperiment(Part):
    experiment_id: ShortText | None = None
    variant: ShortText | None = None
    allocation_timestamp: Instant | None = None
    experiment_type: Literal["ui_test", "algorithm_test", "feature_flag"] | None = None


class FeatureFlag(Part):
    flag_name: ShortText | None = None
    enabled: bool | None = None
    variant: ShortText | None = None
    rollout_percentage: Annotated[float, Meta(ge=0, le=100)] | None = None


class ExperimentContext(Part):
    active_experiments: list[ActiveExperiment] | None = None
    feature_flags: list[FeatureFlag] | None = None


class InteractionContext(Part):
    touchpoint_journey: list[Touchpoint] | None = None
    page_context: PageContext | None = None
    experiment_context: ExperimentContext | None = None


class BusinessContext(Part):
    tenant_metadata: TenantMetadata | None = None
    transaction_context: TransactionContext | None = None
    interaction_context: InteractionContext | None = None


# ── how it came about ───────────────────────────────────────────────────────────────────────────────────────────────────


class InfrastructureMetadata(Part):
    processing_region: ShortText | None = None
    availability_zone: ShortText | None = None
    server_instance: ShortText | None = None
    load_balancer: ShortText | None = None
    cdn_edge_location: ShortText | None = None


class PerformanceTelemetry(Part):
    request_id: ShortText | None = None
    trace_id: ShortText | None = None
    parent_span_id: ShortText | None = None
    processing_time_ms: Milliseconds | None = None
    memory_usage_mb: float | None = None
    cpu_utilization: float | None = None
    network_latency_ms: Milliseconds | None = None
    database_query_time_ms: Milliseconds | None = None
    cache_hit_ratio: float | None = None


class SecurityFlags(Part):
    suspicious_user_agent: bool | None = None
    tor_exit_node: bool | None = None
    known_bot: bool | None = None
    geo_blocked: bool | None = None


class SecurityContext(Part):
    request_signature: Text | None = None
    api_key_hash: Text | None = None
    rate_limit_remaining: int | None = None
    security_flags: SecurityFlags | None = None


class DataLineage(Part):
    upstream_systems: list[ShortText] | None = None
    transformation_applied: list[ShortText] | None = None
    downstream_targets: list[ShortText] | None = None


class TechnicalContext(Part):
    infrastructure_metadata: InfrastructureMetadata | None = None
    performance_telemetry: PerformanceTelemetry | None = None
    security_context: SecurityContext | None = None
    data_lineage: DataLineage | None = None


class EventData(Part):
    event_type: Literal["user_interaction", "transaction", "system_event", "ml_inference"]
    event_subtype: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="page_view, purchase, …")]
    user_context: UserContext | None = None
    business_context: BusinessContext | None = None
    technical_context: TechnicalContext | None = None


class ProcessingFlags(Part):
    requires_enrichment: bool | None = None
    pii_contains: bool | None = None
    gdpr_subject: bool | None = None
    audit_required: bool | None = None


class EventMetadata(Part):
    event_id: UUID
    timestamp: Instant
    source_system: Literal["web_app", "mobile_app", "api", "batch_import"]
    correlation_id: Text | None = None
    causation_id: Text | None = None
    ingestion_timestamp: Instant | None = None
    event_version: ShortText | None = None
    processing_flags: ProcessingFlags | None = None


class FeatureVectors(Part):
    user_features: list[float] | None = None
    product_features: list[float] | None = None
    contextual_features: list[float] | None = None


class FraudDetectionScore(Part):
    model_version: ShortText | None = None
    score: Probability | None = None
    confidence: Probability | None = None
    explanation: list[ShortText] | None = None


class RecommendedProduct(Part):
    product_id: ShortText | None = None
    score: float | None = None
    reason: ShortText | None = None


class RecommendationScore(Part):
    model_version: ShortText | None = None
    recommendations: list[RecommendedProduct] | None = None


class ChurnPrediction(Part):
    model_version: ShortText | None = None
    churn_probability: Probability | None = None
    days_to_churn: float | None = None
    intervention_recommended: ShortText | None = None


class ModelScores(Part):
    fraud_detection: FraudDetectionScore | None = None
    recommendation: RecommendationScore | None = None
    churn_prediction: ChurnPrediction | None = None


class MlContext(Part):
    feature_vectors: FeatureVectors | None = None
    model_scores: ModelScores | None = None


class Event(Part):
    """One event of schema 2.1."""

    schema_version: Literal["2.1"]
    tenant_id: TenantName
    event_metadata: EventMetadata
    event_data: EventData
    partition_key: Text | None = None
    ml_context: MlContext | None = None


def subject_of(event: Event) -> SubjectId:
    """Who the event is about, so that one person's events keep their order: user, else visitor, else device, else itself."""
    user = event.event_data.user_context
    if user is not None:
        if user.user_id:
            return SubjectId(user.user_id)
        if user.anonymous_id:
            return SubjectId(user.anonymous_id)
        session = user.session_data
        if session is not None and session.session_attributes is not None:
            device = session.session_attributes.device_fingerprint
            if device:
                return SubjectId(device)
    return SubjectId(str(event.event_metadata.event_id))


def event_json_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the event, with every part under ``$defs``."""
    schema = msgspec.json.schema(Event)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://weir.example/schemas/event/{SCHEMA_VERSION}",
        "title": "Weir commerce event",
        **schema,
    }
