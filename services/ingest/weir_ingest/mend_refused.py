"""Mend held events by a JSON patch (RFC 6902) and send them on their way, through the same door as all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from jsonpath import JSONPatch, JSONPatchError, JSONPointerError
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest

from weir_ingest.accept_batch import AcceptBatch, Status
from weir_ingest.domain.quarantine import HeldEvent, HeldState, Selection
from weir_ingest.domain.receipt import Receipt
from weir_ingest.domain.validate import InvalidEvent, ValidEvent, validate
from weir_ingest.ports import QuarantineStore, Seal

MAX_MENDED = 1_000
MAX_OPERATIONS = 100
# Amounts stay what was sent: no detour over binary fractions.
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
Patch = Sequence[Mapping[str, Any]]


class MendStatus(StrEnum):
    """``valid``: would be accepted (dry run). ``accepted``, ``duplicate``: it is on the log. ``invalid``: wrong still, and held
    as it was. ``unpatchable``: the patch does not fit it. ``unavailable``: the log did not acknowledge; mend it again.
    """

    VALID = "valid"
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    UNPATCHABLE = "unpatchable"
    UNAVAILABLE = "unavailable"


class Mended(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one held event."""

    quarantine_id: UUID
    status: MendStatus
    event_id: str = ""
    receipt: Receipt | None = None
    errors: list[FieldError] = []


_OF_DOOR = {
    Status.ACCEPTED: MendStatus.ACCEPTED,
    Status.DUPLICATE: MendStatus.DUPLICATE,
    Status.INVALID: MendStatus.INVALID,
    Status.UNAVAILABLE: MendStatus.UNAVAILABLE,
}


class MendRefused:
    """The use case. Safe to repeat: an event that went through and was not yet marked is a duplicate at the door, and marked then."""

    def __init__(self, store: QuarantineStore, seal: Seal, accept: AcceptBatch, *, max_event_bytes: int) -> None:
        self._store = store
        self._seal = seal
        self._accept = accept
        self._max_event_bytes = max_event_bytes

    async def __call__(
        self, tenant_id: TenantId, selection: Selection, patch: Patch, *, dry_run: bool, limit: int = MAX_MENDED
    ) -> list[Mended]:
        """The oldest ``limit`` of the selection, in order. ``InvalidRequest`` for a selection or patch that is none."""
        require_selection(selection)
        check_patch(patch)
        held = await self._store.held(tenant_id, selection, limit=min(limit, MAX_MENDED))
        results: dict[UUID, Mended] = {}
        texts: dict[UUID, bytes] = {}
        for event in held:
            judged = self._judge(tenant_id, event, patch)
            if isinstance(judged, Mended):
                results[event.quarantine_id] = judged
            else:
                texts[event.quarantine_id] = judged[0]
                results[event.quarantine_id] = Mended(event.quarantine_id, MendStatus.VALID, judged[1].event_id)
        if texts and not dry_run:
            answers = await self._accept(tenant_id, list(texts.values()))
            for quarantine_id, answer in zip(texts, answers, strict=True):
                results[quarantine_id] = Mended(
                    quarantine_id, _OF_DOOR[answer.status], answer.event_id, answer.receipt, answer.errors
                )
            done = [one.quarantine_id for one in results.values() if one.status in _DONE]
            await self._store.settle(tenant_id, done, HeldState.REPLAYED)
        return [results[event.quarantine_id] for event in held]

    def _judge(self, tenant_id: TenantId, held: HeldEvent, patch: Patch) -> Mended | tuple[bytes, ValidEvent]:
        sealed = held.sealed or b""
        document = _decoder.decode(self._seal.open(tenant_id, held.quarantine_id, sealed))
        try:
            text = _patched(document, patch, max_bytes=self._max_event_bytes)
        except (JSONPatchError, JSONPointerError, RecursionError) as error:
            errors = [FieldError(expected="an event that the patch fits", got=str(error)[:200])]
            return Mended(held.quarantine_id, MendStatus.UNPATCHABLE, held.event_id, errors=errors)
        judged = validate(text, max_bytes=self._max_event_bytes)
        if isinstance(judged, InvalidEvent):
            return Mended(held.quarantine_id, MendStatus.INVALID, judged.event_id, errors=list(judged.errors))
        if judged.tenant_id != tenant_id:
            wrong = [FieldError("/tenant_id", "the tenant of the credential", judged.tenant_id)]
            return Mended(held.quarantine_id, MendStatus.INVALID, judged.event_id, errors=wrong)
        return text, judged


def _patched(document: Any, patch: Patch, *, max_bytes: int) -> bytes:
    """The text of the mended event. Raises the library's errors, or ``JSONPatchError`` for one that has grown too large.

    One operation at a time, since each copy may double what is there; and each event gets values of its own, since what one
    operation adds the next may change.
    """
    for operation in _decoder.decode(_encoder.encode(patch)):
        document = JSONPatch([operation]).apply(document)
        if operation["op"] == "copy" and len(_encoder.encode(document)) > max_bytes:
            raise JSONPatchError(f"the event grows beyond {max_bytes} bytes")
    return _encoder.encode(document)


_DONE = (MendStatus.ACCEPTED, MendStatus.DUPLICATE)


def summary_of(results: Sequence[Mended]) -> dict[str, int]:
    """How many had which status."""
    counts = Counter(result.status for result in results)
    return {"selected": len(results), **{str(status): counts[status] for status in MendStatus}}


def require_selection(selection: Selection) -> None:
    """Raises for one that names nothing, which would mean everything."""
    if selection.is_empty():
        raise InvalidRequest(
            "The selection names nothing.",
            errors=[FieldError("/selection", "quarantine_ids, pointer, expected, event_type, since or until", "{}")],
        )


def check_patch(patch: Patch) -> None:
    """Raises ``InvalidRequest`` for what is no JSON patch. An empty one is: events may have become valid by themselves."""
    if len(patch) > MAX_OPERATIONS:
        raise InvalidRequest(
            "The patch is too long.",
            errors=[FieldError("/patch", f"at most {MAX_OPERATIONS} operations", f"{len(patch)} operations")],
        )
    for index, operation in enumerate(patch):
        try:
            JSONPatch([operation])
        except (JSONPatchError, JSONPointerError) as error:
            raise InvalidRequest(
                "The patch is none.",
                errors=[FieldError(f"/patch/{index}", "an operation of RFC 6902", str(error)[:200])],
            ) from error
