"""What a rule keeps state about and what a finding is about: a kind and an identifier, written ``kind:identifier``."""

from __future__ import annotations

from typing import NewType

from weir_anomaly.domain.storable import key_text

Entity = NewType("Entity", str)

KINDS = ("user", "visitor", "device", "session", "network", "customer", "sku", "stream", "tenant")


def entity(kind: str, identifier: str) -> Entity:
    """The key; an identifier too long or unfit for a key is replaced by its hash."""
    return Entity(f"{kind}:{key_text(identifier)}")


def kind_of(key: Entity) -> str:
    """The part before the first colon."""
    return key.partition(":")[0]


def identifier_of(key: Entity) -> str:
    """The part after the first colon."""
    return key.partition(":")[2]
