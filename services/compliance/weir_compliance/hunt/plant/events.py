"""Events that carry a planted value in every field whose policy does not leave it open: pure, seeded.

The fields are read from the schema, so one that is added tomorrow is planted tomorrow.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any, Final
from urllib.parse import quote

from weir_common.events.privacy import FieldPrivacy, field_privacy

from weir_compliance.hunt.plant.identities import PATTERNS, Identities
from weir_compliance.hunt.planted import Planted

VERSIONS: Final = ("2.2", "2.1", "2.0")
_LOG_ONLY: Final = "/unknown_fields/"
_UNKNOWN: Final = (
    "/loyalty/email",
    "/event_data/user_context/contact_phone",
    "/event_data/business_context/transaction_context/products/*/engraving",
    "/event_data/technical_context/security_context/remote_addr",
)
"""Where senders put what the schema has no place for."""

_UNKNOWN_NAME: Final = "/event_data/user_context/newsletters/(name)"
_SENTENCES: Final = ("please call {} back", "sent to {}", "{}", "user={};step=2", "«{}» was refused")


@dataclass(slots=True)
class PlantedEvent:
    """An event of ``version`` and the values in it."""

    event_id: str
    version: str
    event: dict[str, Any]
    planted: list[Planted] = field(default_factory=list)


def planted_events(tenant_id: str, seed: str, values: int, now: datetime) -> Iterator[PlantedEvent]:
    """As many events as it takes for ``values`` values, each field in turn; the versions alternate. Values are unique."""
    random = Random(f"{seed}/{tenant_id}")  # noqa: S311 - seeded on purpose
    identities = Identities(random)
    pattern = itertools.cycle(PATTERNS)
    seen: set[str] = set()
    left = values
    for number in itertools.count():
        if left <= 0:
            return
        version = VERSIONS[number % len(VERSIONS)]
        planted = PlantedEvent(identities.uuid(), version, {})
        planted.event = _purchase(tenant_id, planted.event_id, version, now)
        for place, kind, value, written in itertools.islice(_values(identities, pattern, random), left):
            if value.lower() in seen:
                continue
            seen.add(value.lower())
            put(planted.event, in_version(place, version), written)
            planted.planted.append(Planted(f"{kind}#{number}", value, kind))
        left -= len(planted.planted)
        yield planted


def in_version(pointer: str, version: str) -> str:
    """Where a field is in an older schema: 2.0 has latitude and longitude flat."""
    return pointer.replace("/geolocation/coordinates/", "/geolocation/") if version == "2.0" else pointer


def put(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Set a member by its pointer template; `*` is the first item of a list, which is made if it is not there."""
    here: Any = document
    tokens = pointer.split("/")[1:]
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token == "*":  # noqa: S105 - a place in a list
            if not here:
                here.append([] if following == "*" else {})
            here = here[0]
        elif following is None:
            here[token.replace("~1", "/").replace("~0", "~")] = value
        else:
            here = here.setdefault(token, [] if following == "*" else {})


def _values(identities: Identities, pattern: Iterator[str], random: Random) -> Iterator[tuple[str, str, str, Any]]:
    """For each field: where it goes, its kind, the value, and what is written there."""
    for pointer, policy in _closed().items():
        if policy.handling == "scanned":
            name = next(pattern)
            value = identities.pattern(name)
            yield pointer, f"{pointer}({name})", value, _text(pointer, value, random)
        else:
            value = _MAKERS[policy.name](identities, random)
            yield pointer, pointer, value, float(value) if policy.name == "coordinate" else value
    for pointer in _UNKNOWN:
        name = next(pattern)
        value = identities.pattern(name)
        yield pointer, f"{pointer}({name})", value, value
    value = identities.email()
    name = value.replace("~", "~0").replace("/", "~1")
    yield f"/event_data/user_context/newsletters/{name}", _UNKNOWN_NAME, value, True


def _closed() -> Mapping[str, FieldPrivacy]:
    return {
        pointer: policy
        for pointer, policy in field_privacy().items()
        if policy.handling != "open" and not pointer.startswith(_LOG_ONLY)
    }


def _text(pointer: str, value: str, random: Random) -> str:
    if pointer.endswith("_url"):
        return f"https://shop.example/account/reset?step=2&login={quote(value, safe='')}&lang=en"
    return random.choice(_SENTENCES).format(value)


def _subject(identities: Identities, random: Random) -> str:
    return random.choice((identities.email, identities.uuid, lambda: f"cust-{identities.word(12)}"))()


def _card(identities: Identities, random: Random) -> str:
    return random.choice((identities.card, lambda: f"tok_{identities.word(24)}"))()


def _network(identities: Identities, random: Random) -> str:
    return random.choice((identities.ipv4, identities.ipv6, lambda: identities.hex(32)))()


_MAKERS: Final[dict[str, Callable[[Identities, Random], str]]] = {
    "subject": _subject,
    "session": lambda identities, _: f"sess-{identities.hex(24)}",
    "device": lambda identities, _: f"fp-{identities.hex(32)}",
    "card": _card,
    "address": lambda identities, _: identities.hex(40),
    "network": _network,
    "postal_code": lambda identities, _: f"PC-{identities.word(10).upper()}",
    "coordinate": lambda identities, _: identities.degrees(),
    "credential": lambda identities, _: f"cred-{identities.word(28)}",
}
"""By the name of the policy. A new policy without a maker fails the planter's tests."""


def _purchase(tenant_id: str, event_id: str, version: str, now: datetime) -> dict[str, Any]:
    """What the rest of the mesh needs to do its work: a payment that is scored, counted and archived."""
    return {
        "schema_version": version,
        "tenant_id": tenant_id,
        "event_metadata": {"event_id": event_id, "timestamp": now.isoformat(), "source_system": "web_app"},
        "event_data": {
            "event_type": "transaction",
            "event_subtype": "purchase",
            "user_context": {},
            "business_context": {
                "transaction_context": {
                    "products": [
                        {
                            "product_id": "planted-product",
                            "pricing": {"sale_price": 19.99, "currency": "EUR"},
                        }
                    ],
                    "cart_context": {
                        "cart_id": f"cart-{event_id}",
                        "cart_value": {"subtotal": 19.99, "final_total": 19.99},
                        "payment_context": {"payment_methods": [{"method_type": "credit_card", "provider": "acme"}]},
                    },
                }
            },
        },
    }
