"""One audit entry as bytes: the leaf, what it commits to, and its hash.

The leaf is canonical JSON and holds random references only; what an entry says in detail lives beside it as a payload
that the leaf commits to by SHA-256(salt ‖ payload). Deleting payload and salt (an erasure) leaves every proof valid,
and the 32-byte salt stops guessing. The leaf hash has RFC 6962's 0x00 prefix, so that the same hashes are the leaves
of a Merkle log.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from weir_compliance.domain.canonical_json import canonical_json

LEAF_VERSION = 1
SALT_BYTES = 32
# C2SP tlog-tiles frames an entry with a 16-bit length.
MAX_LEAF_BYTES = 65_535
# What the first entry of a log names as its predecessor.
GENESIS = bytes(32)


class UnwritableEntryError(ValueError):
    """The entry has no leaf: not canonical, or too long."""


@dataclass(frozen=True, slots=True)
class AuditFact:
    """What happened, as the service that did it reported it. `payload` is canonical JSON of the detail."""

    entry_id: str
    tenant_id: str
    occurred_at: datetime
    actor: str
    actor_kind: str
    action: str
    object_ref: str
    outcome: str
    service: str
    trace_id: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry in its place: `data` is hashed, `hash` is what the next entry and the Merkle log refer to."""

    log_id: str
    seq: int
    previous: bytes
    data: bytes
    hash: bytes


def commitment(salt: bytes, payload: bytes) -> bytes:
    """SHA-256(salt ‖ payload); the salt has a fixed length, so the concatenation is unambiguous."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes")
    return hashlib.sha256(salt + payload).digest()


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 §2.1: SHA-256(0x00 ‖ leaf)."""
    return hashlib.sha256(b"\x00" + data).digest()


def log_id_of(tenant_id: str) -> str:
    """One log a tenant, so that a proof shows nobody else's volume."""
    return f"weir.audit/{tenant_id}"


def write_leaf(fact: AuditFact, *, log_id: str, seq: int, previous: bytes, salt: bytes) -> Leaf:
    """The leaf of `fact` at position `seq` (from 0) after the entry whose hash is `previous`."""
    try:
        data = canonical_json(
            {
                "v": LEAF_VERSION,
                "log": log_id,
                "seq": seq,
                "prev": previous.hex(),
                "entry": fact.entry_id,
                "time": format_time(fact.occurred_at),
                "tenant": fact.tenant_id,
                "actor": fact.actor,
                "actor_kind": fact.actor_kind,
                "action": fact.action,
                "object": fact.object_ref,
                "outcome": fact.outcome,
                "service": fact.service,
                "trace": fact.trace_id,
                "commit": commitment(salt, fact.payload).hex(),
            }
        )
    except ValueError as error:
        raise UnwritableEntryError(str(error)) from error
    if len(data) > MAX_LEAF_BYTES:
        raise UnwritableEntryError(f"the leaf has {len(data)} bytes, a log entry at most {MAX_LEAF_BYTES}")
    return Leaf(log_id=log_id, seq=seq, previous=previous, data=data, hash=leaf_hash(data))


def read_leaf(data: bytes) -> Mapping[str, object]:
    """The members of a leaf. ValueError unless it is canonical JSON of an object: another spelling is another entry."""
    members = json.loads(data)
    if not isinstance(members, dict):
        raise ValueError("a leaf is a JSON object")
    if canonical_json(members) != data:
        raise ValueError("a leaf is canonical JSON")
    return members


def format_time(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds: one spelling a moment."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
