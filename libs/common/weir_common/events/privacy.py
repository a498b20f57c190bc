"""What happens to each field for privacy's sake, and why it may be processed at all.

Every leaf of the event names one of these policies, inline: ``Annotated[Text | None, DEVICE]``. A leaf without fails the tests.
The records of processing (GDPR Art. 30) and the sealing of events are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from msgspec import Meta

Handling = Literal["open", "token", "sealed", "subject", "coarse", "scanned"]
"""open: stays as sent. token: an HMAC in the namespace stands in the open, the value is sealed. sealed: only under the subject's key.
subject: replaced by the random subject id, the value is sealed. coarse: rounded to 0.1 degree in the open, the exact value is sealed.
scanned: open unless a pattern of e-mail, telephone, card number or IP address is found in it, then sealed."""

Namespace = Literal["device", "card", "address", "ip", "session"]
Category = Literal[
    "identifier",
    "contact",
    "device",
    "location",
    "payment",
    "commercial",
    "profile",
    "behaviour",
    "consent",
    "derived",
    "technical",
]
Purpose = Literal["order_fulfilment", "fraud_prevention", "analytics", "consent_record", "operations"]
Basis = Literal["contract", "legitimate_interest", "consent", "legal_obligation"]
"""GDPR Art. 6(1) (b), (f), (a), (c)."""

Retention = Literal["events", "fraud_evidence", "financial", "consent_record", "operations"]
"""A class; how long each is kept is data of the tenant, not code."""


class FieldPrivacy(msgspec.Struct, frozen=True):
    """One policy. ``namespace`` is set exactly when ``handling`` is ``token``."""

    name: str
    handling: Handling
    category: Category
    purpose: Purpose
    basis: Basis
    retention: Retention
    namespace: Namespace | None = None

    def __post_init__(self) -> None:
        if (self.handling == "token") != (self.namespace is not None):
            raise ValueError(f"policy {self.name}: a token needs a namespace, and nothing else has one")


def _policy(
    name: str,
    handling: Handling,
    category: Category,
    purpose: Purpose,
    basis: Basis,
    retention: Retention,
    namespace: Namespace | None = None,
) -> Meta:
    policy = FieldPrivacy(name, handling, category, purpose, basis, retention, namespace)
    return Meta(extra={"privacy": policy}, extra_json_schema={"x-weir-privacy": name})


# ── who: never in the open ──────────────────────────────────────────────────────────────────────────────────────────────

SUBJECT: Final = _policy("subject", "subject", "identifier", "order_fulfilment", "contract", "events")
SESSION: Final = _policy("session", "token", "identifier", "analytics", "legitimate_interest", "events", "session")
DEVICE: Final = _policy("device", "token", "device", "fraud_prevention", "legitimate_interest", "events", "device")
CARD: Final = _policy("card", "token", "payment", "fraud_prevention", "legitimate_interest", "fraud_evidence", "card")
ADDRESS: Final = _policy("address", "token", "contact", "fraud_prevention", "legitimate_interest", "events", "address")
NETWORK: Final = _policy("network", "token", "identifier", "fraud_prevention", "legitimate_interest", "events", "ip")
POSTAL_CODE: Final = _policy("postal_code", "sealed", "contact", "order_fulfilment", "contract", "events")
COORDINATE: Final = _policy("coordinate", "coarse", "location", "fraud_prevention", "legitimate_interest", "events")
CREDENTIAL: Final = _policy("credential", "sealed", "identifier", "operations", "legitimate_interest", "operations")
UNKNOWN: Final = _policy("unknown", "sealed", "identifier", "operations", "legitimate_interest", "events")
"""What nobody has described may be anything, so it is treated as the worst."""
SEALED: Final = _policy("sealed_originals", "open", "identifier", "order_fulfilment", "contract", "events")
"""What is already sealed stands in the open: it says nothing without its subject's key."""

# ── written by people or pages: looked through ──────────────────────────────────────────────────────────────────────────

PAGE: Final = _policy("page", "scanned", "behaviour", "analytics", "legitimate_interest", "events")
WORDS: Final = _policy("words", "scanned", "behaviour", "analytics", "legitimate_interest", "events")

# ── coarse enough to stay open ──────────────────────────────────────────────────────────────────────────────────────────

PLACE: Final = _policy("place", "open", "location", "fraud_prevention", "legitimate_interest", "events")
NETWORK_KIND: Final = _policy("network_kind", "open", "device", "fraud_prevention", "legitimate_interest", "events")
CLIENT: Final = _policy("client", "open", "device", "analytics", "legitimate_interest", "events")
PROFILE: Final = _policy("profile", "open", "profile", "analytics", "legitimate_interest", "events")
BEHAVIOUR: Final = _policy("behaviour", "open", "behaviour", "analytics", "legitimate_interest", "events")
CONSENT: Final = _policy("consent", "open", "consent", "consent_record", "legal_obligation", "consent_record")
RISK: Final = _policy("risk", "open", "derived", "fraud_prevention", "legitimate_interest", "fraud_evidence")
SCORE: Final = _policy("score", "open", "derived", "analytics", "legitimate_interest", "events")

# ── the trade ───────────────────────────────────────────────────────────────────────────────────────────────────────────

ORDER: Final = _policy("order", "open", "commercial", "order_fulfilment", "contract", "financial")
PAYMENT: Final = _policy("payment", "open", "payment", "order_fulfilment", "contract", "financial")
DELIVERY: Final = _policy("delivery", "open", "commercial", "order_fulfilment", "contract", "events")
CATALOGUE: Final = _policy("catalogue", "open", "commercial", "analytics", "legitimate_interest", "events")
MERCHANT: Final = _policy("merchant", "open", "commercial", "operations", "contract", "events")

# ── the machinery ───────────────────────────────────────────────────────────────────────────────────────────────────────

ENVELOPE: Final = _policy("envelope", "open", "technical", "operations", "contract", "events")
OPERATIONS: Final = _policy("operations", "open", "technical", "operations", "legitimate_interest", "operations")


@cache
def field_privacy() -> Mapping[str, FieldPrivacy]:
    """Policy of each leaf by its pointer template: ``/event_data/user_context/user_id``, ``…/payment_methods/*/amount``."""
    from weir_common.events.event import Event  # the event names the policies above

    found: dict[str, FieldPrivacy] = {}
    _collect(msgspec.inspect.type_info(Event), "", None, found)
    return MappingProxyType(found)


def _collect(kind: Any, pointer: str, policy: FieldPrivacy | None, found: dict[str, FieldPrivacy]) -> None:
    match kind:
        case msgspec.inspect.Metadata(type=inner, extra=extra):
            _collect(inner, pointer, (extra or {}).get("privacy", policy), found)
        case msgspec.inspect.UnionType(types=types):
            (inner,) = (one for one in types if not isinstance(one, msgspec.inspect.NoneType))
            _collect(inner, pointer, policy, found)
        case msgspec.inspect.ListType(item_type=inner) | msgspec.inspect.DictType(value_type=inner):
            _collect(inner, pointer + "/*", policy, found)
        case msgspec.inspect.StructType(fields=fields):
            for field in fields:
                _collect(field.type, f"{pointer}/{field.encode_name}", None, found)
        case _:
            if policy is not None:
                found[pointer] = policy
