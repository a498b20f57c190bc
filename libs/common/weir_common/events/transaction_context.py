"""What was traded: products, cart, payment, delivery, return."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from weir_common.events.part import SINCE_2_2, Part
from weir_common.events.privacy import (
    ADDRESS,
    CARD,
    CATALOGUE,
    DELIVERY,
    ORDER,
    PAYMENT,
    PLACE,
    POSTAL_CODE,
    RISK,
    WORDS,
)
from weir_common.events.scalars import (
    Count,
    CountryCode,
    CurrencyCode,
    Instant,
    Integer,
    Money,
    Probability,
    Quantity,
    ShortText,
    Text,
)


class ProductHierarchy(Part):
    category_l1: Annotated[ShortText | None, CATALOGUE] = None
    category_l2: Annotated[ShortText | None, CATALOGUE] = None
    category_l3: Annotated[ShortText | None, CATALOGUE] = None
    brand: Annotated[ShortText | None, CATALOGUE] = None
    model: Annotated[ShortText | None, CATALOGUE] = None


class Pricing(Part):
    list_price: Annotated[Money | None, CATALOGUE] = None
    sale_price: Annotated[Money | None, CATALOGUE] = None
    cost_basis: Annotated[Money | None, CATALOGUE] = None
    margin_percentage: Annotated[float | None, CATALOGUE] = None
    tax_category: Annotated[Literal["standard", "luxury", "exempt"] | None, CATALOGUE] = None
    currency: Annotated[CurrencyCode | None, CATALOGUE] = None


class Inventory(Part):
    sku_availability: Annotated[Literal["in_stock", "low_stock", "backorder", "discontinued"] | None, CATALOGUE] = None
    quantity_available: Annotated[Integer | None, CATALOGUE] = None
    warehouse_location: Annotated[ShortText | None, CATALOGUE] = None
    supplier_id: Annotated[ShortText | None, CATALOGUE] = None


class Dimensions(Part):
    height: Annotated[float | None, CATALOGUE] = None
    width: Annotated[float | None, CATALOGUE] = None
    depth: Annotated[float | None, CATALOGUE] = None


class ProductAttributes(Part):
    color: Annotated[ShortText | None, CATALOGUE] = None
    storage: Annotated[ShortText | None, CATALOGUE] = None
    condition: Annotated[Literal["new", "refurbished", "used"] | None, CATALOGUE] = None
    warranty_months: Annotated[Count | None, CATALOGUE] = None
    dimensions: Dimensions | None = None
    weight_grams: Annotated[Annotated[float, Meta(ge=0)] | None, CATALOGUE] = None
    certifications: Annotated[list[ShortText] | None, CATALOGUE] = None


class ProductPerformance(Part):
    view_count_24h: Annotated[Count | None, CATALOGUE] = None
    conversion_rate_7d: Annotated[float | None, CATALOGUE] = None
    return_rate_30d: Annotated[float | None, CATALOGUE] = None
    review_average: Annotated[float | None, CATALOGUE] = None
    review_count: Annotated[Count | None, CATALOGUE] = None


class Product(Part):
    product_id: Annotated[ShortText | None, CATALOGUE] = None
    product_hierarchy: ProductHierarchy | None = None
    pricing: Pricing | None = None
    inventory: Inventory | None = None
    attributes: ProductAttributes | None = None
    performance_metrics: ProductPerformance | None = None
    quantity: Annotated[Quantity | None, ORDER, SINCE_2_2] = None


class Tax(Part):
    type: Annotated[ShortText | None, ORDER] = None
    rate: Annotated[float | None, ORDER] = None
    amount: Annotated[Money | None, ORDER] = None


class ShippingCosts(Part):
    base_shipping: Annotated[Money | None, ORDER] = None
    expedited_fee: Annotated[Money | None, ORDER] = None
    insurance: Annotated[Money | None, ORDER] = None


class Discount(Part):
    discount_id: Annotated[ShortText | None, ORDER] = None
    discount_type: Annotated[Literal["percentage", "fixed_amount", "buy_x_get_y"] | None, ORDER] = None
    discount_value: Annotated[Money | None, ORDER] = None
    discount_amount: Annotated[Money | None, ORDER] = None
    eligibility_rules: Annotated[list[ShortText] | None, ORDER] = None


class LoyaltyBenefits(Part):
    points_earned: Annotated[float | None, ORDER] = None
    points_redeemed: Annotated[float | None, ORDER] = None
    tier_bonus_multiplier: Annotated[float | None, ORDER] = None
    cashback_percentage: Annotated[float | None, ORDER] = None


class CartValue(Part):
    subtotal: Annotated[Money | None, ORDER] = None
    tax_breakdown: list[Tax] | None = None
    shipping_costs: ShippingCosts | None = None
    discounts_applied: list[Discount] | None = None
    loyalty_benefits: LoyaltyBenefits | None = None
    final_total: Annotated[Money | None, ORDER] = None
    currency: Annotated[CurrencyCode | None, ORDER, SINCE_2_2] = None


class Address(Part):
    address_hash: Annotated[Text | None, ADDRESS] = None
    same_as_billing: Annotated[bool | None, DELIVERY] = None
    country: Annotated[CountryCode | None, PLACE] = None
    postal_code: Annotated[ShortText | None, POSTAL_CODE] = None
    address_type: Annotated[Literal["residential", "commercial", "po_box"] | None, DELIVERY] = None


class RiskSignals(Part):
    first_time_payment: Annotated[bool | None, RISK] = None
    velocity_flag: Annotated[bool | None, RISK] = None
    geo_mismatch: Annotated[bool | None, RISK] = None
    fraud_score: Annotated[Probability | None, RISK] = None


class PaymentMethod(Part):
    method_type: Annotated[Literal["credit_card", "debit_card", "digital_wallet", "bnpl", "crypto"] | None, PAYMENT] = (
        None
    )
    provider: Annotated[ShortText | None, PAYMENT] = None
    tokenized_identifier: Annotated[Text | None, CARD] = None
    billing_address: Address | None = None
    risk_signals: RiskSignals | None = None
    outcome: Annotated[Literal["approved", "declined", "error"] | None, PAYMENT, SINCE_2_2] = None
    decline_reason: Annotated[ShortText | None, WORDS, SINCE_2_2] = None
    amount: Annotated[Money | None, PAYMENT, SINCE_2_2] = None


class ShippingMethod(Part):
    carrier: Annotated[ShortText | None, DELIVERY] = None
    service_level: Annotated[Literal["ground", "express", "overnight", "same_day"] | None, DELIVERY] = None
    estimated_delivery: Annotated[Instant | None, DELIVERY] = None
    tracking_enabled: Annotated[bool | None, DELIVERY] = None
    signature_required: Annotated[bool | None, DELIVERY] = None


class ShippingContext(Part):
    shipping_address: Address | None = None
    shipping_method: ShippingMethod | None = None


class PaymentContext(Part):
    payment_methods: list[PaymentMethod] | None = None
    shipping_context: ShippingContext | None = None


class CartContext(Part):
    cart_id: Annotated[Text | None, ORDER] = None
    cart_value: CartValue | None = None
    payment_context: PaymentContext | None = None


class ReturnContext(Part):
    """What came back, and why. New in 2.2."""

    order_id: Annotated[ShortText | None, ORDER] = None
    reason: Annotated[ShortText | None, WORDS] = None
    condition_received: Annotated[ShortText | None, ORDER] = None
    weight_grams_received: Annotated[Annotated[float, Meta(ge=0)] | None, ORDER] = None


class TransactionContext(Part):
    products: list[Product] | None = None
    cart_context: CartContext | None = None
    order_id: Annotated[ShortText | None, ORDER, SINCE_2_2] = None
    return_context: Annotated[ReturnContext | None, SINCE_2_2] = None
