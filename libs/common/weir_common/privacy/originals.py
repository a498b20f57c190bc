"""What was taken out of an event, by JSON pointer: the plaintext of its blob."""

from __future__ import annotations

import msgspec

from weir_common.events.event import Event, SealedOriginals
from weir_common.ids import TenantId
from weir_common.privacy.errors import SealBroken
from weir_common.privacy.ports import Subject
from weir_common.privacy.subject_cipher import SubjectCipher


class Originals(msgspec.Struct, omit_defaults=True, gc=False):
    """``texts`` and ``numbers`` by pointer into the event; ``unknown_fields`` as they were."""

    texts: dict[str, str] = {}
    numbers: dict[str, float] = {}
    unknown_fields: dict[str, msgspec.Raw] | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Originals)


def seal(originals: Originals, event: Event, subject: Subject) -> SealedOriginals:
    """Sealed under the subject's key, for this event of its tenant only."""
    blob = subject.cipher.seal(
        TenantId(event.tenant_id), event.event_metadata.event_id.bytes, _encoder.encode(originals)
    )
    return SealedOriginals(key_id=subject.subject_id, blob=blob)


def opened(event: Event, sealed: SealedOriginals, cipher: SubjectCipher) -> Originals:
    """`SealBroken` if it is not this event's, or not under this key."""
    plaintext = cipher.open(TenantId(event.tenant_id), event.event_metadata.event_id.bytes, sealed.blob)
    try:
        return _decoder.decode(plaintext)
    except msgspec.DecodeError as error:
        raise SealBroken("the plaintext is not one of ours") from error
