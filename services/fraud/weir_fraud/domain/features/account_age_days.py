"""How old the account is."""

from collections.abc import Sequence

from weir_fraud.domain.feature import NAN, Feature
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import NEW_ACCOUNT


def _compute(payment: Payment, _: Sequence[float]) -> float:
    if payment.registered_at is None:
        return NAN
    # A registration after the payment is a clock that differs, not a negative age.
    return max(0.0, (payment.at - payment.registered_at).total_seconds() / 86_400)


FEATURES = (
    Feature("account_age_days", "d", "Since the registration of the account", NEW_ACCOUNT, _compute, monotone=-1),
)
