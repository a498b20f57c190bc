"""Reason codes: why a payment looks risky, in names that stay. Each is defined here once; features point to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ReasonCode:
    """`code` never changes its meaning; the texts may be reworded.

    `text` is for an analyst. `shopper_text` may be shown to whoever pays: it is true, says nothing of how it was found out nor of anybody
    else, and so nothing of how not to be found out. Where more than a general answer would tell that, it is the general answer.
    """

    code: str
    text: str
    shopper_text: str


GENERAL_SHOPPER_TEXT: Final = "We could not confirm this payment. Please contact the shop if you need help."
_PAYMENT: Final = GENERAL_SHOPPER_TEXT
_METHOD: Final = "We could not confirm this payment with the payment method that was chosen."
_BILLING: Final = "We could not confirm the billing details. Please check that they are correct."
_DELIVERY: Final = "We could not confirm the delivery details. Please check that they are correct."
_ACCOUNT: Final = "We could not confirm this payment for your account. Please contact the shop if you need help."
_ORDER: Final = "We could not confirm this order. Please contact the shop if you need help."

USER_VELOCITY: Final = ReasonCode("USER_VELOCITY", "How often this user pays", _PAYMENT)
USER_SPEND_VELOCITY: Final = ReasonCode("USER_SPEND_VELOCITY", "How much this user spends in a short time", _PAYMENT)
USER_DECLINES: Final = ReasonCode("USER_DECLINES", "Declined payments of this user in the last hour", _PAYMENT)
USER_HISTORY: Final = ReasonCode("USER_HISTORY", "How much is known of this user", _ACCOUNT)
AMOUNT: Final = ReasonCode("AMOUNT", "The amount of the payment", _ORDER)
AMOUNT_ABOVE_HISTORY: Final = ReasonCode(
    "AMOUNT_ABOVE_HISTORY", "The amount against what this user pays otherwise", _ORDER
)
MULTIPLE_DEVICES: Final = ReasonCode("MULTIPLE_DEVICES", "Number of devices of this user", _PAYMENT)
MULTIPLE_PAYMENT_TOKENS: Final = ReasonCode(
    "MULTIPLE_PAYMENT_TOKENS", "Number of payment methods of this user", _PAYMENT
)
MULTIPLE_COUNTRIES: Final = ReasonCode("MULTIPLE_COUNTRIES", "Number of countries that this user pays from", _PAYMENT)
NEW_DEVICE: Final = ReasonCode("NEW_DEVICE", "Whether this user paid from this device before", _PAYMENT)
NEW_PAYMENT_TOKEN: Final = ReasonCode("NEW_PAYMENT_TOKEN", "Whether this user paid by this method before", _METHOD)
NEW_ACCOUNT: Final = ReasonCode("NEW_ACCOUNT", "Age of the account", _ACCOUNT)
DEVICE_VELOCITY: Final = ReasonCode("DEVICE_VELOCITY", "How often this device pays", _PAYMENT)
DEVICE_DECLINES: Final = ReasonCode("DEVICE_DECLINES", "Declined payments from this device in the last hour", _PAYMENT)
DEVICE_SHARED: Final = ReasonCode("DEVICE_SHARED", "Number of users of this device", _PAYMENT)
DEVICE_PAYMENT_TOKENS: Final = ReasonCode(
    "DEVICE_PAYMENT_TOKENS", "Number of payment methods tried from this device", _PAYMENT
)
PAYMENT_TOKEN_VELOCITY: Final = ReasonCode("PAYMENT_TOKEN_VELOCITY", "How often this payment method is used", _METHOD)
PAYMENT_TOKEN_SHARED: Final = ReasonCode("PAYMENT_TOKEN_SHARED", "Number of users of this payment method", _PAYMENT)
LOCATION_CHANGE: Final = ReasonCode("LOCATION_CHANGE", "Distance from where this user paid last", _PAYMENT)
IMPOSSIBLE_TRAVEL: Final = ReasonCode("IMPOSSIBLE_TRAVEL", "Speed at which this user would have travelled", _PAYMENT)
UNUSUAL_HOUR: Final = ReasonCode("UNUSUAL_HOUR", "Time of the day", _PAYMENT)
BILLING_COUNTRY_MISMATCH: Final = ReasonCode(
    "BILLING_COUNTRY_MISMATCH", "Whether the payment is made in the country of the billing address", _BILLING
)
SHIPPING_COUNTRY_MISMATCH: Final = ReasonCode(
    "SHIPPING_COUNTRY_MISMATCH", "Whether the goods go to the country of the billing address", _DELIVERY
)

USER_SPEND: Final = ReasonCode("USER_SPEND", "How much this user pays at a time", _PAYMENT)
USER_FRAUD: Final = ReasonCode("USER_FRAUD", "Earlier payments of this user that were fraud", _PAYMENT)
MULTIPLE_ADDRESSES: Final = ReasonCode(
    "MULTIPLE_ADDRESSES", "Number of addresses that this user has goods sent to", _PAYMENT
)
MULTIPLE_NETWORKS: Final = ReasonCode(
    "MULTIPLE_NETWORKS", "Number of network addresses that this user pays from", _PAYMENT
)
MULTIPLE_MERCHANTS: Final = ReasonCode(
    "MULTIPLE_MERCHANTS", "Number of merchants that this user pays in a short time", _PAYMENT
)
NEW_ADDRESS: Final = ReasonCode("NEW_ADDRESS", "Whether this user had goods sent to this address before", _DELIVERY)
NEW_NETWORK: Final = ReasonCode("NEW_NETWORK", "Whether this user paid from this network address before", _PAYMENT)
NEW_MERCHANT: Final = ReasonCode("NEW_MERCHANT", "Whether this user paid this merchant before", _PAYMENT)
NEW_COUNTRY: Final = ReasonCode("NEW_COUNTRY", "Whether this user paid from this country before", _PAYMENT)
DEVICE_ADDRESSES: Final = ReasonCode(
    "DEVICE_ADDRESSES", "Number of addresses that goods are sent to from this device", _PAYMENT
)
DEVICE_FRAUD: Final = ReasonCode("DEVICE_FRAUD", "Earlier payments from this device that were fraud", _PAYMENT)
PAYMENT_TOKEN_DECLINES: Final = ReasonCode(
    "PAYMENT_TOKEN_DECLINES", "Declined payments by this payment method", _METHOD
)
PAYMENT_TOKEN_ADDRESSES: Final = ReasonCode(
    "PAYMENT_TOKEN_ADDRESSES", "Number of addresses that this payment method pays deliveries to", _PAYMENT
)
ADDRESS_VELOCITY: Final = ReasonCode("ADDRESS_VELOCITY", "How often goods are sent to this address", _PAYMENT)
ADDRESS_SHARED: Final = ReasonCode("ADDRESS_SHARED", "Number of users who have goods sent to this address", _PAYMENT)
ADDRESS_PAYMENT_TOKENS: Final = ReasonCode(
    "ADDRESS_PAYMENT_TOKENS", "Number of payment methods that pay deliveries to this address", _PAYMENT
)
ADDRESS_FRAUD: Final = ReasonCode(
    "ADDRESS_FRAUD", "Earlier payments for deliveries to this address that were fraud", _PAYMENT
)
NETWORK_VELOCITY: Final = ReasonCode("NETWORK_VELOCITY", "How often is paid from this network address", _PAYMENT)
NETWORK_SHARED: Final = ReasonCode("NETWORK_SHARED", "Number of users of this network address", _PAYMENT)
NETWORK_PAYMENT_TOKENS: Final = ReasonCode(
    "NETWORK_PAYMENT_TOKENS", "Number of payment methods tried from this network address", _PAYMENT
)
NETWORK_DECLINES: Final = ReasonCode("NETWORK_DECLINES", "Declined payments from this network address", _PAYMENT)
ANONYMOUS_NETWORK: Final = ReasonCode("ANONYMOUS_NETWORK", "Whether the network hides who uses it", _PAYMENT)
AUTOMATED_CLIENT: Final = ReasonCode("AUTOMATED_CLIENT", "Whether a program rather than a person pays", _PAYMENT)
MERCHANT_RISK: Final = ReasonCode("MERCHANT_RISK", "How many earlier payments to this merchant were fraud", _PAYMENT)
PRODUCT_RISK: Final = ReasonCode("PRODUCT_RISK", "How many earlier payments for this product were fraud", _PAYMENT)
AMOUNT_ABOVE_MERCHANT: Final = ReasonCode(
    "AMOUNT_ABOVE_MERCHANT", "The amount against what is paid to this merchant otherwise", _ORDER
)
SESSION: Final = ReasonCode("SESSION", "How the customer came to the payment", _PAYMENT)
CART: Final = ReasonCode("CART", "What is in the cart", _ORDER)
DISCOUNTS: Final = ReasonCode("DISCOUNTS", "How much of the price is discounts", _ORDER)
LOYALTY_POINTS: Final = ReasonCode("LOYALTY_POINTS", "Loyalty points that are redeemed", _ORDER)
DELIVERY: Final = ReasonCode("DELIVERY", "How and where the goods are delivered", _DELIVERY)
PAYMENT_METHOD: Final = ReasonCode("PAYMENT_METHOD", "The kind of payment method", _METHOD)
SENDER_SCORE: Final = ReasonCode("SENDER_SCORE", "What the sender's own checks say", _PAYMENT)
