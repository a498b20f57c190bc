"""The public contract: event schemas 2.0, 2.1 and 2.2, defined once. JSON Schema, OpenAPI and the records of processing follow.

A field is a line in the part that it belongs to (`user_context`, `transaction_context`, …) with its type (`scalars`) and
its privacy (`privacy`); a new optional one says ``SINCE_…`` (`part`). Then ``python -m weir_common.events.snapshots``.

- `decode`: a sender's text → the newest event, unknown fields set aside (`unknown`), older versions upcast (`upcast`)
- `all_faults`: all that is wrong with a text; `ranges`, `repeated_names`: what a decoder cannot say
- `encode`: the event as the log has it
- `schema`, `snapshots`, `compatibility`: what senders are promised, and that it is kept
"""

from weir_common.events.all_faults import errors_of
from weir_common.events.decode import DecodedEvent, decode_event, event_on_the_log
from weir_common.events.encode import encode_event
from weir_common.events.event import Event
from weir_common.events.privacy import FieldPrivacy, field_privacy
from weir_common.events.rejection import EventRejected
from weir_common.events.scalars import TenantName
from weir_common.events.schema import EVENT_REFERENCE, event_components, event_json_schema
from weir_common.events.subject import subject_of
from weir_common.events.versions import SCHEMA_VERSION, SCHEMA_VERSIONS, SchemaVersion

__all__ = [
    "EVENT_REFERENCE",
    "SCHEMA_VERSION",
    "SCHEMA_VERSIONS",
    "DecodedEvent",
    "Event",
    "EventRejected",
    "FieldPrivacy",
    "SchemaVersion",
    "TenantName",
    "decode_event",
    "encode_event",
    "errors_of",
    "event_components",
    "event_json_schema",
    "event_on_the_log",
    "field_privacy",
    "subject_of",
]
