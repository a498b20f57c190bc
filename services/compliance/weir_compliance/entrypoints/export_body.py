"""The body of an export request, checked field by field."""

import hashlib
from typing import Annotated

import msgspec
from weir_common.events import TenantName
from weir_common.http import decode_body
from weir_common.ids import TenantId
from weir_common.problems import FieldError, InvalidRequest

from weir_compliance.adapters.age_files import is_recipient
from weir_compliance.domain.canonical_json import canonical_json
from weir_compliance.domain.subject import MAX_IDENTIFIER_CHARACTERS, MAX_IDENTIFIERS_OF_A_KIND, Subject
from weir_compliance.domain.subject_request import Particulars
from weir_compliance.request_export import ExportCommand

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER_CHARACTERS)]
Identifiers = Annotated[list[Identifier], msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIERS_OF_A_KIND)]


class SubjectBody(msgspec.Struct, forbid_unknown_fields=True):
    """At least one identifier; each is one value or a list of them."""

    user_id: Identifier | Identifiers | None = None
    anonymous_id: Identifier | Identifiers | None = None


class ExportBody(msgspec.Struct, forbid_unknown_fields=True):
    """`recipient`: an age public key that the archive is encrypted to; without it a key is made and handed out once."""

    tenant_id: TenantName
    subject: SubjectBody
    regime: Annotated[str, msgspec.Meta(max_length=32)] = "gdpr"
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    reference: Annotated[str, msgspec.Meta(max_length=200)] = ""
    recipient: Annotated[str, msgspec.Meta(max_length=200)] | None = None


_decoder = msgspec.json.Decoder(ExportBody)


def read_export_body(body: bytes) -> ExportBody:
    """InvalidRequest, with pointers, for anything that has not this shape."""
    return decode_body(_decoder, body)


def export_command(parsed: ExportBody, idempotency_key: str | None) -> ExportCommand:
    """InvalidRequest, with pointers, for what has the shape and can still not be carried out."""
    user_ids, anonymous_ids = _values(parsed.subject.user_id), _values(parsed.subject.anonymous_id)
    faults: list[FieldError] = []
    if not user_ids and not anonymous_ids:
        faults.append(FieldError("/subject", "at least one of user_id and anonymous_id", "none"))
    if parsed.recipient is not None and not is_recipient(parsed.recipient):
        # Not echoed in full: who mixes the two up has sent the secret key.
        faults.append(FieldError("/recipient", "an age X25519 public key (age1…)", parsed.recipient[:4] + "…"))
    if idempotency_key is not None and not (0 < len(idempotency_key) <= 255 and idempotency_key.isprintable()):
        faults.append(FieldError(parameter="Idempotency-Key", expected="1 to 255 printable characters", got=""))
    if faults:
        raise InvalidRequest("The request cannot be carried out as it is.", errors=faults)
    return ExportCommand(
        tenant_id=TenantId(parsed.tenant_id),
        regime=parsed.regime,
        particulars=Particulars(Subject(user_ids, anonymous_ids), parsed.reference, parsed.reason),
        recipient=parsed.recipient,
        idempotency_key=None if idempotency_key is None else _kept_key(parsed.tenant_id, idempotency_key),
        body_digest=_digest(parsed, user_ids, anonymous_ids),
    )


def _values(given: str | list[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else tuple(dict.fromkeys(given))


def _kept_key(tenant_id: str, key: str) -> str:
    """What is stored of a key: some callers put the person's mail address into it, and it is not needed to know it again."""
    return hashlib.blake2b(key.encode(), key=tenant_id.encode(), digest_size=16).hexdigest()


def _digest(body: ExportBody, user_ids: tuple[str, ...], anonymous_ids: tuple[str, ...]) -> bytes:
    """Of what the body means: the same request written another way is the same request."""
    return hashlib.sha256(
        canonical_json(
            {
                "user_ids": list(user_ids),
                "anonymous_ids": list(anonymous_ids),
                "regime": body.regime,
                "reason": body.reason,
                "reference": body.reference,
                "recipient": body.recipient,
            }
        )
    ).digest()
