"""Reason codes: why a payment looks risky, in names that stay. Each is defined here once; features point to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """`code` never changes its meaning; `text` is for an analyst and may be reworded."""

    code: str
    text: str


USER_VELOCITY: Final = ReasonCode("USER_VELOCITY", "How often this user pays")
USER_SPEND_VELOCITY: Final = ReasonCode("USER_SPEND_VELOCITY", "How much this user spends in a short time")
USER_DECLINES: Final = ReasonCode("USER_DECLINES", "Declined payments of this user in the last hour")
USER_HISTORY: Final = ReasonCode("USER_HISTORY", "How much is known of this user")
AMOUNT: Final = ReasonCode("AMOUNT", "The amount of the payment")
AMOUNT_ABOVE_HISTORY: Final = ReasonCode("AMOUNT_ABOVE_HISTORY", "The amount against what this user pays otherwise")
MULTIPLE_DEVICES: Final = ReasonCode("MULTIPLE_DEVICES", "Number of devices of this user")
MULTIPLE_PAYMENT_TOKENS: Final = ReasonCode("MULTIPLE_PAYMENT_TOKENS", "Number of payment methods of this user")
MULTIPLE_COUNTRIES: Final = ReasonCode("MULTIPLE_COUNTRIES", "Number of countries that this user pays from")
NEW_DEVICE: Final = ReasonCode("NEW_DEVICE", "Whether this user paid from this device before")
NEW_PAYMENT_TOKEN: Final = ReasonCode("NEW_PAYMENT_TOKEN", "Whether this user paid by this method before")
NEW_ACCOUNT: Final = ReasonCode("NEW_ACCOUNT", "Age of the account")
DEVICE_VELOCITY: Final = ReasonCode("DEVICE_VELOCITY", "How often this device pays")
DEVICE_DECLINES: Final = ReasonCode("DEVICE_DECLINES", "Declined payments from this device in the last hour")
DEVICE_SHARED: Final = ReasonCode("DEVICE_SHARED", "Number of users of this device")
DEVICE_PAYMENT_TOKENS: Final = ReasonCode("DEVICE_PAYMENT_TOKENS", "Number of payment methods tried from this device")
PAYMENT_TOKEN_VELOCITY: Final = ReasonCode("PAYMENT_TOKEN_VELOCITY", "How often this payment method is used")
PAYMENT_TOKEN_SHARED: Final = ReasonCode("PAYMENT_TOKEN_SHARED", "Number of users of this payment method")
LOCATION_CHANGE: Final = ReasonCode("LOCATION_CHANGE", "Distance from where this user paid last")
IMPOSSIBLE_TRAVEL: Final = ReasonCode("IMPOSSIBLE_TRAVEL", "Speed at which this user would have travelled")
UNUSUAL_HOUR: Final = ReasonCode("UNUSUAL_HOUR", "Time of the day")
BILLING_COUNTRY_MISMATCH: Final = ReasonCode(
    "BILLING_COUNTRY_MISMATCH", "Whether the payment is made in the country of the billing address"
)
SHIPPING_COUNTRY_MISMATCH: Final = ReasonCode(
    "SHIPPING_COUNTRY_MISMATCH", "Whether the goods go to the country of the billing address"
)
