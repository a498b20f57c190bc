"""What an export contains, without saying whose: the archive's table of contents, and its reader's guide.

The same document lies in the archive (without the archive's own digest, which it cannot know) and is served beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from weir_compliance.domain.audit_chain import Head
from weir_compliance.domain.audit_leaf import format_time
from weir_compliance.domain.processing import information

FORMAT = "weir.subject-export/1"
MANIFEST_NAME = "manifest.json"
# What one line of a data file holds: {"category": …, "record_id": …, "data": {…}}.
LINE_SCHEMA = "weir.subject-record/1"


@dataclass(frozen=True, slots=True)
class Processing:
    """Why a service holds one category of data, in its own words (GDPR Art. 15(1)(a), (b), (d))."""

    category: str
    purpose: str
    legal_basis: str
    retention: str


class SealedReason(StrEnum):
    """Why a record was not opened."""

    ANOTHER_PERSON = "another_person"
    KEY_DESTROYED = "key_destroyed"
    BROKEN = "seal_broken"


SEALED_BECAUSE: Mapping[SealedReason, str] = {
    SealedReason.ANOTHER_PERSON: "sealed for another person, whose identifiers this export must not show (Art. 15(4))",
    SealedReason.KEY_DESTROYED: "the key was destroyed by an erasure while the export was made",
    SealedReason.BROKEN: "the seal does not open with the person's key: damaged",
}


@dataclass(frozen=True, slots=True)
class StoreReceipt:
    """What one service delivered. Size and digest are those of the plain file in the archive.

    `left_sealed`: records whose sealed part was not opened, by the reason.
    """

    store: str
    records: int
    records_by_category: Mapping[str, int]
    size_bytes: int
    sha256: str
    explanation: str
    processing: tuple[Processing, ...]
    left_sealed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestHeading:
    """The request, by reference only."""

    request_id: str
    tenant_id: str
    kind: str
    regime: str
    received_at: datetime
    due_at: datetime


def data_path(store: str) -> str:
    """Where a service's records lie in the archive: one JSON object a line."""
    return f"data/{store}.jsonl"


def build_manifest(
    heading: RequestHeading, receipts: Sequence[StoreReceipt], generated_at: datetime, audit_head: Head | None
) -> dict[str, object]:
    """The manifest. Holds nothing of the person: counts, digests, names of categories and general information."""
    total = sum(receipt.records for receipt in receipts)
    ordered = sorted(receipts, key=lambda receipt: receipt.store)
    return {
        "format": FORMAT,
        "request": {
            "request_id": heading.request_id,
            "tenant_id": heading.tenant_id,
            "kind": heading.kind,
            "regime": heading.regime,
            "received_at": format_time(heading.received_at),
            "due_at": format_time(heading.due_at),
        },
        "generated_at": format_time(generated_at),
        "confirmation": "personal data held" if total else "nothing held",
        "records": total,
        "services": [_service(receipt) for receipt in ordered],
        "information": information([receipt.store for receipt in ordered]),
        "audit_head": None
        if audit_head is None
        else {"log_id": audit_head.log_id, "size": audit_head.size, "hash": audit_head.hash.hex()},
    }


def _service(receipt: StoreReceipt) -> dict[str, object]:
    return {
        "service": receipt.store,
        "path": data_path(receipt.store),
        "media_type": "application/jsonl",
        "schema": LINE_SCHEMA,
        "records": receipt.records,
        "records_by_category": dict(sorted(receipt.records_by_category.items())),
        "bytes": receipt.size_bytes,
        "sha256": receipt.sha256,
        "explanation": receipt.explanation,
        "left_sealed": [
            {"reason": reason, "explanation": SEALED_BECAUSE[SealedReason(reason)], "records": records}
            for reason, records in sorted(receipt.left_sealed.items())
        ],
        "processing": [
            {
                "category": one.category,
                "purpose": one.purpose,
                "legal_basis": one.legal_basis,
                "retention": one.retention,
            }
            for one in receipt.processing
        ],
    }
