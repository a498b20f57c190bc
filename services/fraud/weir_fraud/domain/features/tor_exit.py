"""1 if the request came out of Tor."""

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.reason_code import ANONYMOUS_NETWORK

FEATURES = (
    of_request(
        "tor_exit",
        unit="1",
        description="1 if the request came out of Tor",
        reason=ANONYMOUS_NETWORK,
        value=lambda payment: payment.context.tor,
        monotone=1,
    ),
)
