"""What a decoder cannot say of amounts and instants: amounts are finite and storable, instants exist in UTC.

JSON has no NaN, but a decimal in a string could bring one; and ``"1E+999999999"`` is short to send and endless to write out.
An instant in the first or last hours of the calendar may lie outside of it in UTC, where every service computes.
"""

from __future__ import annotations

import decimal
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from weir_common.events.event import Event

AMOUNT: Final = "a finite amount below 10^18, of at most 40 digits"
INSTANT: Final = "a date-time that exists in UTC"

_STORABLE: Final = decimal.Context(
    prec=40,
    Emax=17,
    Emin=-60,
    traps=[decimal.InvalidOperation, decimal.Overflow, decimal.Rounded, decimal.Subnormal, decimal.Clamped],
)


def is_amount(amount: Decimal) -> bool:
    """Whether the amount is finite, below 10^18 in size, and exact in 40 digits."""
    try:
        return _STORABLE.plus(amount).is_finite()
    except decimal.DecimalException:
        return False


def is_instant(instant: datetime) -> bool:
    """Whether the instant exists in UTC."""
    if 1 < instant.year < 9999:
        return True
    try:
        instant.astimezone(UTC)
    except OverflowError:
        return False
    return True


def in_range(event: Event) -> bool:
    """Whether all amounts and instants are. Called once an event; that no field is forgotten, the tests see to."""
    plus = _STORABLE.plus
    try:
        for amount in amounts_of(event):
            if amount is not None and not plus(amount).is_finite():
                return False
    except decimal.DecimalException:
        return False
    for instant in instants_of(event):  # noqa: SIM110 - a generator takes three times as long
        if instant is not None and not 1 < instant.year < 9999 and not is_instant(instant):
            return False
    return True


def amounts_of(event: Event) -> list[Decimal | None]:
    """Every amount of the event."""
    found: list[Decimal | None] = []
    data = event.event_data
    user = data.user_context
    if user is not None and (profile := user.user_profile) is not None:
        segmentation = profile.segmentation
        if segmentation is not None and segmentation.predictive_scores is not None:
            found.append(segmentation.predictive_scores.lifetime_value)
    business = data.business_context
    if business is None or (trade := business.transaction_context) is None:
        return found
    for product in trade.products or ():
        if (pricing := product.pricing) is not None:
            found += (pricing.list_price, pricing.sale_price, pricing.cost_basis)
    cart = trade.cart_context
    if cart is None:
        return found
    if (value := cart.cart_value) is not None:
        found += (value.subtotal, value.final_total)
        for tax in value.tax_breakdown or ():
            found.append(tax.amount)
        if (shipping := value.shipping_costs) is not None:
            found += (shipping.base_shipping, shipping.expedited_fee, shipping.insurance)
        for discount in value.discounts_applied or ():
            found += (discount.discount_value, discount.discount_amount)
    if (payment := cart.payment_context) is not None:
        for method in payment.payment_methods or ():
            found.append(method.amount)
    return found


def instants_of(event: Event) -> list[datetime | None]:
    """Every instant of the event."""
    metadata = event.event_metadata
    found: list[datetime | None] = [metadata.timestamp, metadata.ingestion_timestamp]
    data = event.event_data
    if (user := data.user_context) is not None:
        if user.session_data is not None:
            found.append(user.session_data.session_start)
        if user.user_profile is not None:
            found.append(user.user_profile.registration_date)
    business = data.business_context
    if business is None:
        return found
    trade = business.transaction_context
    if (
        trade is not None
        and (cart := trade.cart_context) is not None
        and (payment := cart.payment_context) is not None
        and (shipping := payment.shipping_context) is not None
        and shipping.shipping_method is not None
    ):
        found.append(shipping.shipping_method.estimated_delivery)
    if (interaction := business.interaction_context) is not None:
        for touchpoint in interaction.touchpoint_journey or ():
            found.append(touchpoint.timestamp)
        if interaction.page_context is not None:
            for click in interaction.page_context.user_interactions or ():
                found.append(click.timestamp)
        if interaction.experiment_context is not None:
            for experiment in interaction.experiment_context.active_experiments or ():
                found.append(experiment.allocation_timestamp)
    return found
