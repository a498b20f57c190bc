"""What the OpenAPI document says about ``POST /api/v2/events/batch``."""

from __future__ import annotations

from typing import Any

from weir_common.consent import Consent, Purpose
from weir_common.events import EVENT_REFERENCE, event_components
from weir_common.http import CONFLICT, PROBLEM_RESPONSES

_EVENT_ID = "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"
_SECOND_ID = "0b9d6a52-3c1e-4f7a-8d20-5a6b7c8d9e0f"
_RECEIPT = {
    "topic": "weir.ingest.events.v2",
    "partition": 3,
    "offset": 41,
    "accepted_at": "2026-11-25T10:30:00.123456Z",
}
_NONE = {
    "accepted": 0,
    "duplicate": 0,
    "invalid": 0,
    "unavailable": 0,
    "not_taken": 0,
    "throttled": 0,
    "quarantined": 0,
}
_ACCEPTED = {"index": 0, "status": "accepted", "event_id": _EVENT_ID, "receipt": _RECEIPT}
_INVALID = {
    "index": 1,
    "status": "invalid",
    "event_id": _SECOND_ID,
    "errors": [{"pointer": "/event_metadata/timestamp", "expected": "a value (required)", "got": "nothing"}],
}
_QUARANTINED = {
    **_INVALID,
    "index": 0,
    "status": "quarantined",
    "quarantine_id": "5a6b7c8d-9e0f-8a7d-8d20-0b9d6a523c1e",
}
_NOT_TAKEN = {"index": 0, "status": "not_taken", "event_id": _EVENT_ID}
_THROTTLED = {"index": 0, "status": "throttled"}
_UNAVAILABLE = {"index": 0, "status": "unavailable", "event_id": _EVENT_ID}


def _example(*results: dict[str, Any]) -> dict[str, Any]:
    counts = dict(_NONE)
    for result in results:
        counts[result["status"]] += 1
    return {"results": list(results), "summary": {"received": len(results), **counts}}


def _answer(description: str, problem: int | None = None, **examples: dict[str, Any]) -> dict[str, Any]:
    """``problem``: the status is also that of a request of which nothing was looked at."""
    return {
        "description": description,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/EventResults"},
                "examples": {name: {"value": value} for name, value in examples.items()},
            },
            **(PROBLEM_RESPONSES[problem]["content"] if problem is not None else {}),
        },
    }


def batch_operation() -> dict[str, Any]:
    """The operation object; the schemas that it names are `BATCH_SCHEMAS`."""
    event = {"$ref": EVENT_REFERENCE}
    cloud_event = {
        "type": "object",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "description": "The event id, if the data have none"},
            "source": {"type": "string"},
            "type": {"type": "string", "examples": ["shop.transaction.purchase"]},
            "time": {"type": "string", "format": "date-time"},
            "dataschema": {"type": "string"},
            "datacontenttype": {"type": "string"},
            "data": {"type": "object", "description": "The event"},
            "data_base64": {"type": "string"},
        },
    }
    return {
        "tags": ["events"],
        "summary": "Send events",
        "operationId": "send_events",
        "description": (
            "Up to 1,000 events a request. Each gets its own result, in order; one bad event never fails the others. "
            "An event counts as accepted only when the log has it on all in-sync replicas. Sending a request again is safe: "
            "what was accepted is a duplicate then, with the first receipt.\n\n"
            "Bodies: the native batch, CloudEvents 1.0 (structured, batched, or binary with `ce-` headers) or one event a "
            "line; plain, gzip or zstd. In a CloudEvent the data are the event, and the attributes fill in what the data "
            "leave out. Pointers in results are relative to the event.\n\n"
            "A tenant whose quota is used up is refused unread for up to half a second at a time: a problem document with `Retry-After` "
            "and the `RateLimit` headers instead of results. Such a request was not received, so its events are in no figure of the "
            "ledger; nor does an `Idempotency-Key` get an answer by it.\n\n"
            "A consent that is `false` in the event's `privacy_settings` is a refusal: the receipt then says what was refused and "
            "which purposes do not get the event. One that is not stated refuses nothing."
        ),
        "parameters": [
            {
                "name": "atomic",
                "in": "query",
                "schema": {"type": "boolean", "default": False},
                "description": "All or none: one invalid event and none is taken.",
            },
            {
                "name": "quarantine",
                "in": "query",
                "schema": {"type": "boolean", "default": True},
                "description": (
                    "Keep what is wrong, to be mended and sent on later: the result is `quarantined` then. `false`, or no "
                    "room: `invalid`, and the sender's to mend. An atomic request keeps nothing."
                ),
            },
            {
                "name": "Idempotency-Key",
                "in": "header",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                "description": "Makes the whole request repeatable with the same answer for 24 hours.",
            },
            {
                "name": "Content-Encoding",
                "in": "header",
                "schema": {"enum": ["identity", "gzip", "zstd"]},
            },
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["events"],
                        "properties": {"events": {"type": "array", "minItems": 1, "maxItems": 1_000, "items": event}},
                    }
                },
                "application/cloudevents+json": {"schema": cloud_event},
                "application/cloudevents-batch+json": {"schema": {"type": "array", "items": cloud_event}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
        },
        "responses": {
            "202": _answer("Every event was accepted, or is a repeat of one that was", accepted=_example(_ACCEPTED)),
            "207": _answer("Some were not: each result says why", mixed=_example(_ACCEPTED, _INVALID)),
            "422": _answer(
                "None is valid: what was kept can be mended in the quarantine, the rest by its sender",
                422,
                quarantined=_example(_QUARANTINED),
                invalid=_example({**_INVALID, "index": 0}),
                atomic=_example(_NOT_TAKEN, _INVALID),
            ),
            "429": {
                **_answer(
                    "The tenant's quota is used up: send the events again after Retry-After. "
                    "Results if the events were read, a problem document if the request was refused unread",
                    429,
                    throttled=_example(_THROTTLED),
                ),
                "headers": {
                    "Retry-After": {"schema": {"type": "integer"}},
                    "RateLimit": {"schema": {"type": "string"}, "description": '`"events";r=remaining;t=seconds`'},
                    "RateLimit-Policy": {"schema": {"type": "string"}, "description": '`"events";q=burst;w=seconds`'},
                },
            },
            "503": _answer(
                "The log does not acknowledge, or (a problem document) more of the tenant's requests wait than can be done: "
                "send the request again after Retry-After",
                503,
                unavailable=_example(_UNAVAILABLE),
            ),
            "409": {**CONFLICT[409], "description": "A request with this Idempotency-Key is being answered"},
            "415": {
                **CONFLICT[409],
                "description": "A media type or coding that is not known; the answer lists those that are",
            },
        },
    }


RESULTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["results", "summary"],
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["index", "status"],
                "properties": {
                    "index": {"type": "integer"},
                    "status": {"enum": list(_NONE)},
                    "event_id": {"type": "string"},
                    "quarantine_id": {"type": "string", "format": "uuid"},
                    "receipt": {
                        "type": "object",
                        "required": ["topic", "partition", "offset", "accepted_at"],
                        "properties": {
                            "topic": {"type": "string"},
                            "partition": {"type": "integer"},
                            "offset": {"type": "integer"},
                            "accepted_at": {"type": "string", "format": "date-time"},
                            "consent": {
                                "type": "object",
                                "description": "There when the event's subject refused a consent",
                                "required": ["refused", "withheld"],
                                "properties": {
                                    "refused": {"type": "array", "items": {"enum": [*Consent]}},
                                    "withheld": {
                                        "type": "array",
                                        "description": "The purposes that the event is not used for",
                                        "items": {"enum": [*Purpose]},
                                    },
                                },
                            },
                        },
                    },
                    "errors": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "pointer": {"type": "string", "description": "RFC 6901 pointer into the event"},
                                "parameter": {"type": "string", "description": "header of a binary CloudEvent"},
                                "expected": {"type": "string"},
                                "got": {"type": "string"},
                            },
                        },
                    },
                },
            },
        },
        "summary": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}

BATCH_SCHEMAS: dict[str, Any] = {"EventResults": RESULTS_SCHEMA, **event_components()}
