"""Whether the client's network hides who uses it."""

from typing import Final

from weir_fraud.domain.feature import of_request
from weir_fraud.domain.payment import Payment
from weir_fraud.domain.reason_code import ANONYMOUS_NETWORK

HIDING: Final = frozenset({"hosting", "vpn", "relay", "tor"})


def _hides(payment: Payment) -> bool | None:
    return None if payment.context.network_kind is None else payment.context.network_kind in HIDING


FEATURES = (
    of_request(
        "anonymous_network",
        unit="1",
        description="1 if the network is that of a data centre, a VPN, a relay or Tor",
        reason=ANONYMOUS_NETWORK,
        value=_hides,
        monotone=1,
    ),
)
