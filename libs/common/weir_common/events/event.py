"""The event of the newest version, defined once: decoding, JSON Schemas, OpenAPI and the records of processing are made from it.

Required: schema_version, tenant_id, event_id, timestamp, source_system, event_type, event_subtype. All else is optional and typed.
Consumers do not use these structs: each declares the few fields that it needs, which decodes three times as fast.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

import msgspec

from weir_common.events.business_context import BusinessContext
from weir_common.events.ml_context import MlContext
from weir_common.events.part import ON_THE_LOG_ONLY, Part
from weir_common.events.privacy import CREDENTIAL, ENVELOPE, SEALED, SESSION, UNKNOWN
from weir_common.events.scalars import Instant, ShortText, Subtype, TenantName, Text
from weir_common.events.technical_context import TechnicalContext
from weir_common.events.user_context import UserContext


class EventData(Part):
    event_type: Annotated[Literal["user_interaction", "transaction", "system_event", "ml_inference"], ENVELOPE]
    event_subtype: Annotated[Subtype, ENVELOPE]
    user_context: UserContext | None = None
    business_context: BusinessContext | None = None
    technical_context: TechnicalContext | None = None


class ProcessingFlags(Part):
    requires_enrichment: Annotated[bool | None, ENVELOPE] = None
    pii_contains: Annotated[bool | None, ENVELOPE] = None
    gdpr_subject: Annotated[bool | None, ENVELOPE] = None
    audit_required: Annotated[bool | None, ENVELOPE] = None


class EventMetadata(Part):
    event_id: Annotated[UUID, ENVELOPE]
    timestamp: Annotated[Instant, ENVELOPE]
    source_system: Annotated[Literal["web_app", "mobile_app", "api", "batch_import"], ENVELOPE]
    correlation_id: Annotated[Text | None, SESSION] = None
    causation_id: Annotated[Text | None, ENVELOPE] = None
    ingestion_timestamp: Annotated[Instant | None, ENVELOPE] = None
    event_version: Annotated[ShortText | None, ENVELOPE] = None
    processing_flags: ProcessingFlags | None = None


class SealedOriginals(Part):
    """What `weir_common.privacy.protect` took out of the event, as one ciphertext.

    ``key_id`` is the subject id under whose key it is; ``blob`` is 1 byte version, 12 bytes nonce, ciphertext with tag.
    """

    key_id: Annotated[ShortText, SEALED]
    blob: Annotated[bytes, SEALED]


class Event(Part):
    """One event of schema 2.2. Those of 2.1 have the same shape, so one decoder reads both."""

    schema_version: Annotated[Literal["2.1", "2.2"], ENVELOPE]
    tenant_id: Annotated[TenantName, ENVELOPE]
    event_metadata: EventMetadata
    event_data: EventData
    partition_key: Annotated[Text | None, CREDENTIAL] = None
    ml_context: MlContext | None = None
    unknown_fields: Annotated[dict[str, msgspec.Raw] | None, UNKNOWN, ON_THE_LOG_ONLY] = None
    """What the sender's event had and its schema does not know, by JSON pointer into the event as it was sent."""
    sealed: Annotated[SealedOriginals | None, ON_THE_LOG_ONLY] = None
    """The values that privacy took out of the event, readable only with its subject's key."""
