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

USER_SPEND: Final = ReasonCode("USER_SPEND", "How much this user pays at a time")
USER_FRAUD: Final = ReasonCode("USER_FRAUD", "Earlier payments of this user that were fraud")
MULTIPLE_ADDRESSES: Final = ReasonCode("MULTIPLE_ADDRESSES", "Number of addresses that this user has goods sent to")
MULTIPLE_NETWORKS: Final = ReasonCode("MULTIPLE_NETWORKS", "Number of network addresses that this user pays from")
MULTIPLE_MERCHANTS: Final = ReasonCode("MULTIPLE_MERCHANTS", "Number of merchants that this user pays in a short time")
NEW_ADDRESS: Final = ReasonCode("NEW_ADDRESS", "Whether this user had goods sent to this address before")
NEW_NETWORK: Final = ReasonCode("NEW_NETWORK", "Whether this user paid from this network address before")
NEW_MERCHANT: Final = ReasonCode("NEW_MERCHANT", "Whether this user paid this merchant before")
NEW_COUNTRY: Final = ReasonCode("NEW_COUNTRY", "Whether this user paid from this country before")
DEVICE_ADDRESSES: Final = ReasonCode("DEVICE_ADDRESSES", "Number of addresses that goods are sent to from this device")
DEVICE_FRAUD: Final = ReasonCode("DEVICE_FRAUD", "Earlier payments from this device that were fraud")
PAYMENT_TOKEN_DECLINES: Final = ReasonCode("PAYMENT_TOKEN_DECLINES", "Declined payments by this payment method")
PAYMENT_TOKEN_ADDRESSES: Final = ReasonCode(
    "PAYMENT_TOKEN_ADDRESSES", "Number of addresses that this payment method pays deliveries to"
)
ADDRESS_VELOCITY: Final = ReasonCode("ADDRESS_VELOCITY", "How often goods are sent to this address")
ADDRESS_SHARED: Final = ReasonCode("ADDRESS_SHARED", "Number of users who have goods sent to this address")
ADDRESS_PAYMENT_TOKENS: Final = ReasonCode(
    "ADDRESS_PAYMENT_TOKENS", "Number of payment methods that pay deliveries to this address"
)
ADDRESS_FRAUD: Final = ReasonCode("ADDRESS_FRAUD", "Earlier payments for deliveries to this address that were fraud")
NETWORK_VELOCITY: Final = ReasonCode("NETWORK_VELOCITY", "How often is paid from this network address")
NETWORK_SHARED: Final = ReasonCode("NETWORK_SHARED", "Number of users of this network address")
NETWORK_PAYMENT_TOKENS: Final = ReasonCode(
    "NETWORK_PAYMENT_TOKENS", "Number of payment methods tried from this network address"
)
NETWORK_DECLINES: Final = ReasonCode("NETWORK_DECLINES", "Declined payments from this network address")
ANONYMOUS_NETWORK: Final = ReasonCode("ANONYMOUS_NETWORK", "Whether the network hides who uses it")
AUTOMATED_CLIENT: Final = ReasonCode("AUTOMATED_CLIENT", "Whether a program rather than a person pays")
MERCHANT_RISK: Final = ReasonCode("MERCHANT_RISK", "How many earlier payments to this merchant were fraud")
PRODUCT_RISK: Final = ReasonCode("PRODUCT_RISK", "How many earlier payments for this product were fraud")
AMOUNT_ABOVE_MERCHANT: Final = ReasonCode(
    "AMOUNT_ABOVE_MERCHANT", "The amount against what is paid to this merchant otherwise"
)
SESSION: Final = ReasonCode("SESSION", "How the customer came to the payment")
CART: Final = ReasonCode("CART", "What is in the cart")
DISCOUNTS: Final = ReasonCode("DISCOUNTS", "How much of the price is discounts")
LOYALTY_POINTS: Final = ReasonCode("LOYALTY_POINTS", "Loyalty points that are redeemed")
DELIVERY: Final = ReasonCode("DELIVERY", "How and where the goods are delivered")
PAYMENT_METHOD: Final = ReasonCode("PAYMENT_METHOD", "The kind of payment method")
SENDER_SCORE: Final = ReasonCode("SENDER_SCORE", "What the sender's own checks say")
