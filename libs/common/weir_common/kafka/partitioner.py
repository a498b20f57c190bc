"""Where an event goes on the log: shuffle sharding, so that one hot tenant disturbs few others.

A tenant owns k of the P partitions, chosen by rendezvous hashing of (tenant, partition); a subject hashes into that set.
Two tenants rarely share all k (k = 4 of P = 12: 1 pair in 495), and a subject's events keep one order on one partition.
Changing k moves subjects: drain first (tenancy design, section a).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from weir_common.ids import SubjectId, TenantId
from weir_common.kafka.topics import EVENT_PARTITIONS

TENANT_PARTITIONS = 4


@lru_cache(maxsize=65_536)
def tenant_partitions(
    tenant_id: TenantId, partitions: int = EVENT_PARTITIONS, k: int = TENANT_PARTITIONS
) -> tuple[int, ...]:
    """The k partitions of a tenant, ascending."""
    ranked = sorted(range(partitions), key=lambda partition: _hash64(f"{tenant_id}\x00{partition}".encode()))
    return tuple(sorted(ranked[:k]))


def partition_of(tenant_id: TenantId, subject: SubjectId) -> int:
    """The partition of a subject's events; the same for ever while P and k stand."""
    shard = tenant_partitions(tenant_id)
    return shard[_hash64(subject.encode()) % len(shard)]


def event_key(tenant_id: TenantId, subject: SubjectId) -> bytes:
    """The record key: tenant, NUL, subject."""
    return f"{tenant_id}\x00{subject}".encode()


def _hash64(data: bytes) -> int:
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
