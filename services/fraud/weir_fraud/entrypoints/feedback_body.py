"""Labels as they are sent: one, or a batch of which each is judged by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from weir_common.auth import Principal
from weir_common.http import decode_body, field_error
from weir_common.ids import EventId, TenantId
from weir_common.privacy.free_text import without_personal_data
from weir_common.problems import FieldError, InvalidRequest, PayloadTooLarge

from weir_fraud.domain.label import Label, LabelKind, LabelSource
from weir_fraud.entrypoints.scoring_request import FURTHEST_AHEAD

MAX_LABELS: Final = 500
EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""What is said to have become known before is a sender's mistake, e.g. seconds taken for milliseconds."""

Reference = Annotated[
    str,
    msgspec.Meta(
        # In Python `$` also matches before a last newline, in JSON Schema it does not; the lookahead makes both the same.
        pattern=r"^[A-Za-z0-9#][A-Za-z0-9 ._:/#-]{0,63}$(?!\n)",
        description="The sender's own, e.g. the id of the dispute; no personal data",
    ),
]


class SentLabel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``occurred_at``: when it became known to the sender, RFC 3339 with its zone."""

    event_id: Annotated[UUID, msgspec.Meta(description="Of the payment event")]
    label: LabelKind
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    reference: Reference | None = None


class _Envelope(msgspec.Struct, frozen=True):
    labels: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    labels: list[msgspec.Raw]


_envelope: Final = msgspec.json.Decoder(_Envelope)
_batch: Final = msgspec.json.Decoder(_Batch)
_label: Final = msgspec.json.Decoder(SentLabel)


class BadLabel(msgspec.Struct, frozen=True):
    """What is no label, and why; pointers are relative to it."""

    errors: list[FieldError]
    event_id: str = ""


def read_labels(body: bytes, tenant_id: TenantId, caller: Principal, now: datetime) -> list[Label | BadLabel]:
    """The labels of a body, in order. `InvalidRequest` if it is neither a label nor a batch, `PayloadTooLarge` above 500."""
    is_batch = not isinstance(decode_body(_envelope, body).labels, msgspec.UnsetType)
    texts = decode_body(_batch, body).labels if is_batch else [msgspec.Raw(body)]
    if not texts:
        raise InvalidRequest(
            "The batch holds no label.", errors=[FieldError("/labels", f"1 to {MAX_LABELS} labels", "none")]
        )
    if len(texts) > MAX_LABELS:
        raise PayloadTooLarge(
            f"A request may hold at most {MAX_LABELS} labels; this one holds {len(texts)}.",
            extra={"limit_labels": MAX_LABELS},
        )
    return [_read(text, tenant_id, caller, now) for text in texts]


def _read(text: msgspec.Raw, tenant_id: TenantId, caller: Principal, now: datetime) -> Label | BadLabel:
    try:
        sent = _label.decode(text)
    except msgspec.ValidationError as error:
        return BadLabel([field_error(error)])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # What a batch's own decoder does not look into, it does not find fault with.
        return BadLabel([FieldError("", "a label as JSON in UTF-8", str(error)[:80])])
    faults: list[FieldError] = []
    if not EARLIEST <= sent.occurred_at <= now + FURTHEST_AHEAD:
        faults.append(
            FieldError("/occurred_at", "a time since 2000 that is at most a day ahead", sent.occurred_at.isoformat())
        )
    if sent.reference is not None and without_personal_data(sent.reference) != sent.reference:
        # What came is not repeated: it is what must not be kept, and answers are logged by others.
        faults.append(FieldError("/reference", "a reference without a card's, telephone's or other person's number"))
    if faults:
        return BadLabel(faults, str(sent.event_id))
    return Label(
        tenant_id=tenant_id,
        event_id=EventId(str(sent.event_id)),
        kind=sent.label,
        occurred_at=sent.occurred_at.astimezone(UTC),
        recorded_at=now,
        recorded_by=caller.subject,
        source=LabelSource.FEEDBACK,
        reference=sent.reference,
    )
