"""``POST /api/v2/ml/inference/fraud``: decode, call, encode; answered in front of the application, since a shopper waits for it."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from weir_common.direct_endpoint import Answer, DirectRequest
from weir_common.events import EVENT_REFERENCE
from weir_common.ids import TenantId

from weir_fraud.domain.decision import Decision
from weir_fraud.entrypoints.documents import EVENT_EXAMPLE, decision_document
from weir_fraud.entrypoints.http import DECISION_RESPONSE
from weir_fraud.entrypoints.score_requests import Request, ScoreRequests
from weir_fraud.entrypoints.scoring_request import event_of

PATH: Final = "/api/v2/ml/inference/fraud"


class InferenceEndpoint:
    """The handler of a ``DirectEndpoint`` that lets operators in."""

    def __init__(self, requests: ScoreRequests[Answer]) -> None:
        self._requests = requests

    async def __call__(self, request: DirectRequest) -> Answer:
        with self._requests.admitted():
            # Whose event it is stands in it.
            read = event_of(request.body)
            tenant_id = TenantId(read[0].tenant_id)
            await request.enter(tenant_id)
            return await self._requests(tenant_id, Request(lambda: read))


def answer_of(decision: Decision) -> Answer:
    """A decision as this endpoint answers it."""
    return Answer(200, msgspec.json.encode(decision_document(decision)), {})


def inference_operation() -> dict[str, Any]:
    """For the OpenAPI document."""
    return {
        "tags": ["fraud"],
        "summary": "Decide on a payment",
        "description": (
            "Score a payment and say why, to the last digit: `base_value` and the contributions (exact TreeSHAP, in log-odds) add "
            "up to `margin`, whose logistic is `score`.\n\n"
            'The body is `{"event": {…}}` with one event of schema 2.1, type `transaction`, subtype `purchase`, '
            "`payment_attempted` or `payment_declined` (a bare event is taken, too). The decision is stored and announced; asked "
            "again for the same event, here, over gRPC or by the event arriving on the stream, it is the same.\n\n"
            "When a part fails it is decided all the same and `degraded` says how: `features_unavailable`, the histories did not answer, "
            "a model of what the event itself says decided, and the outcome is a review at least unless the tenant's own policy "
            "says otherwise; `model_fallback`, the model failed on the payment and one that decided before it stood in; "
            "`explanation_deferred`, too many waited: while `explanation` is `deferred`, codes, reasons and contributions are null, and "
            "`GET /api/v2/ml/decisions/{event_id}` has them some seconds later."
        ),
        "operationId": "post_inference",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["event"],
                        "properties": {"event": {"$ref": EVENT_REFERENCE}},
                    },
                    "example": EVENT_EXAMPLE,
                }
            },
        },
        "responses": {"200": DECISION_RESPONSE},
    }
