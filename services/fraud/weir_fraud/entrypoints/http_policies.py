"""``/api/v2/ml/policies/fraud``: the tenant's policy above the score; written by one person, approved by another."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request, Response
from msgspec import Meta
from weir_common.auth import Action, Principal
from weir_common.http import CONFLICT, NOT_FOUND, CursorParameter, MsgspecResponse, answer, decode_body, principal
from weir_common.ids import TenantId
from weir_common.pagination import decode_cursor, encode_cursor
from weir_common.problems import FieldError, Forbidden, InvalidRequest, NotFound

from weir_fraud.domain.policy import NO_POLICY, Policy, PolicyVersion
from weir_fraud.entrypoints.policy_documents import (
    POLICY_EXAMPLE,
    draft_document,
    trial_document,
    version_document,
    version_summary,
)
from weir_fraud.manage_policies import ManagePolicies
from weir_fraud.ports import PolicyStore
from weir_fraud.read_policy import PolicyDocument
from weir_fraud.try_policy import MAX_DAYS, MAX_DECISIONS, TryPolicy

PREFIX = "/api/v2/ml/policies/fraud"
MAX_LIMIT = 100
_MOST = 2**31 - 1

_Note = Annotated[
    str,
    Meta(max_length=500, pattern=r"^[^\u0000-\u001f\u007f]*$", description="Kept with the version; no personal data"),
]
_Number = Annotated[int, Meta(ge=1, le=_MOST)]
Version = Annotated[int, Path(ge=1, le=_MOST, description="Its number")]


class SubmitRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``revision``: of the draft that was seen, so that nobody submits what another one wrote meanwhile."""

    revision: _Number
    note: _Note = ""


class DecisionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why."""

    note: _Note = ""


class RollbackRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``version``: one that was in force before."""

    version: _Number
    note: _Note = ""


class DryRunRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A ``document``, or a ``version``, or neither: the draft. The newest decisions of ``days``, at most ``limit``."""

    document: PolicyDocument | None = None
    version: _Number | None = None
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] = 7
    limit: Annotated[int, Meta(ge=1, le=MAX_DECISIONS)] = MAX_DECISIONS


class _DryRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The same, its document unread."""

    document: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    version: _Number | None = None
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)] = 7
    limit: Annotated[int, Meta(ge=1, le=MAX_DECISIONS)] = MAX_DECISIONS


_, POLICY_SCHEMAS = msgspec.json.schema_components(
    [PolicyDocument, SubmitRequest, DecisionRequest, RollbackRequest, DryRunRequest],
    ref_template="#/components/schemas/{name}",
)
"""For the OpenAPI document."""
_submit = msgspec.json.Decoder(SubmitRequest)
_decision = msgspec.json.Decoder(DecisionRequest)
_rollback = msgspec.json.Decoder(RollbackRequest)
_dry_run = msgspec.json.Decoder(_DryRun)


def _takes(schema: str, example: Any, *, required: bool = True) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}}
    return {"requestBody": {"required": required, "content": content}}


_DRAFT = answer("The draft", "tenant_id", "revision", "editors", "edited_at", "policy")
_VERSION = answer("The version", "tenant_id", "version", "state", "makers", "policy")


def policies_router(store: PolicyStore, manage: ManagePolicies, attempt: TryPolicy) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix=PREFIX, tags=["fraud policy"])

    @router.get("", summary="The policy in force", responses=answer("It", "tenant_id", "version", "policy"))
    async def current(caller: Annotated[Principal, principal(Action.FRAUD_POLICY_READ)]) -> Response:
        """The approved version. `version` 0 and no policy: the model's own thresholds decide."""
        tenant_id = _tenant_of(caller)
        active = await store.active(tenant_id)
        if active is None:
            return MsgspecResponse({"tenant_id": tenant_id, "version": NO_POLICY, "policy": None})
        return MsgspecResponse(version_document(tenant_id, active))

    @router.get("/draft", summary="The draft", responses={**_DRAFT, **NOT_FOUND})
    async def draft(caller: Annotated[Principal, principal(Action.FRAUD_POLICY_READ)]) -> Response:
        """What is being written. Values of people are shown protected, and may be sent back so."""
        tenant_id = _tenant_of(caller)
        found = await store.draft(tenant_id)
        if found is None:
            raise NotFound("There is no draft.")
        return MsgspecResponse(draft_document(tenant_id, found))

    @router.put(
        "/draft",
        summary="Write the draft",
        responses=_DRAFT,
        openapi_extra=_takes("PolicyDocument", POLICY_EXAMPLE),
    )
    async def put_draft(
        request: Request, caller: Annotated[Principal, principal(Action.FRAUD_POLICY_DRAFT)]
    ) -> Response:
        """The whole document; it replaces the draft. Every fault is told with its place, one of an expression with its column.

        Decided by the first that applies: the deny list (decline), the allow list (approve), the enabled rules in order, the first
        whose expression holds, the thresholds. `decline` and `review` never let more through than the thresholds; `approve` lowers a
        review, and a decline only with `override`.

        Rules are CEL over `score`, `amount` (double), `currency`, `country`, `billing_country`, `shipping_country`, `kind` (string),
        `declined` (bool), `hour` (int, UTC), `degraded` (list of names, see the decision) and `features` (see the model's), without loops
        and regular expressions. An unknown number is
        absent: ask `has(features.x)` first. A rule that cannot be evaluated has not matched; if it would decline or review, the
        outcome is a review at least.

        Entries of devices and payment tokens expire within 90 to 180 days, when the keys of their tokens do. Audited.
        """
        tenant_id = _tenant_of(caller)
        saved = await manage.save_draft(tenant_id, caller, await request.body())
        return MsgspecResponse(draft_document(tenant_id, saved))

    @router.post(
        "/draft/submit",
        summary="Propose the draft",
        responses={**_VERSION, **CONFLICT},
        openapi_extra=_takes("SubmitRequest", {"revision": 3, "note": "After the attack of Monday"}),
    )
    async def submit(request: Request, caller: Annotated[Principal, principal(Action.FRAUD_POLICY_DRAFT)]) -> Response:
        """It becomes the next version, which another person approves or rejects; one proposal at a time. Audited."""
        tenant_id = _tenant_of(caller)
        asked = decode_body(_submit, await request.body())
        made = await manage.submit(tenant_id, caller, asked.revision, asked.note)
        return MsgspecResponse(version_document(tenant_id, made))

    @router.get("/versions", summary="All versions", responses=answer("A page", "tenant_id", "versions", "next_cursor"))
    async def versions(
        caller: Annotated[Principal, principal(Action.FRAUD_POLICY_READ)],
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many a page")] = 20,
        cursor: CursorParameter = None,
    ) -> Response:
        """Newest first, without their documents."""
        tenant_id = _tenant_of(caller)
        page = await store.versions(tenant_id, None if cursor is None else _before(cursor), limit + 1)
        shown = page[:limit]
        return MsgspecResponse(
            {
                "tenant_id": tenant_id,
                "versions": [version_summary(one) for one in shown],
                "next_cursor": encode_cursor([shown[-1].version]) if len(page) > limit else None,
            }
        )

    @router.get("/versions/{version}", summary="One version", responses={**_VERSION, **NOT_FOUND})
    async def one(caller: Annotated[Principal, principal(Action.FRAUD_POLICY_READ)], version: Version) -> Response:
        """With its document, also of a proposal that waits."""
        tenant_id = _tenant_of(caller)
        return MsgspecResponse(version_document(tenant_id, await _version(tenant_id, version)))

    @router.post(
        "/versions/{version}/approve",
        summary="Approve a proposal",
        responses={**_VERSION, **NOT_FOUND, **CONFLICT},
        openapi_extra=_takes("DecisionRequest", {"note": "Seen"}, required=False),
    )
    async def approve(
        request: Request, caller: Annotated[Principal, principal(Action.FRAUD_POLICY_APPROVE)], version: Version
    ) -> Response:
        """Puts it in force, everywhere within five seconds. By a person who neither wrote nor submitted it: 403 otherwise. Audited."""
        tenant_id = _tenant_of(caller)
        note = await _note(request)
        return MsgspecResponse(version_document(tenant_id, await manage.approve(tenant_id, caller, version, note)))

    @router.post(
        "/versions/{version}/reject",
        summary="Reject a proposal",
        responses={**_VERSION, **NOT_FOUND, **CONFLICT},
        openapi_extra=_takes("DecisionRequest", {"note": "Would decline half of the night"}, required=False),
    )
    async def reject(
        request: Request, caller: Annotated[Principal, principal(Action.FRAUD_POLICY_APPROVE)], version: Version
    ) -> Response:
        """Takes it off the table; so may its maker, who may not approve it. Audited."""
        tenant_id = _tenant_of(caller)
        note = await _note(request)
        return MsgspecResponse(version_document(tenant_id, await manage.reject(tenant_id, caller, version, note)))

    @router.post(
        "/rollback",
        summary="Propose an earlier version again",
        responses={**_VERSION, **NOT_FOUND, **CONFLICT},
        openapi_extra=_takes("RollbackRequest", {"version": 2, "note": "Too many reviews"}),
    )
    async def rollback(
        request: Request, caller: Annotated[Principal, principal(Action.FRAUD_POLICY_DRAFT)]
    ) -> Response:
        """A new proposal with the document of a version that was in force; another person approves it. Audited."""
        tenant_id = _tenant_of(caller)
        asked = decode_body(_rollback, await request.body())
        made = await manage.roll_back(tenant_id, caller, asked.version, asked.note)
        return MsgspecResponse(version_document(tenant_id, made))

    @router.post(
        "/dry-run",
        summary="What a policy would have decided",
        responses={
            **answer(
                "What would have changed", "evaluated", "complete", "before", "after", "changes", "rules", "lacking"
            ),
            **NOT_FOUND,
        },
        openapi_extra=_takes("DryRunRequest", {"document": POLICY_EXAMPLE, "days": 7}),
    )
    async def dry_run(request: Request, caller: Annotated[Principal, principal(Action.FRAUD_POLICY_DRAFT)]) -> Response:
        """Looks at the tenant's newest decisions as if the policy had been in force; changes nothing and makes nobody known.

        `complete` is false when the bound or the time ended it: then it is of the decisions since `oldest`. `lacking`: decisions keep no devices
        and payment tokens, so entries of these kinds match nothing here; decisions of before there were policies have no countries,
        and rules that read one count as errors there.
        """
        tenant_id = _tenant_of(caller)
        asked = decode_body(_dry_run, await request.body() or b"{}")
        version, policy = await _asked(tenant_id, asked)
        tried = await attempt(tenant_id, version, policy, days=asked.days, limit=asked.limit)
        return MsgspecResponse(trial_document(tenant_id, tried, policy))

    async def _asked(tenant_id: TenantId, asked: _DryRun) -> tuple[int, Policy]:
        if isinstance(asked.document, msgspec.Raw) and bytes(asked.document) != b"null":
            if asked.version is not None:
                raise InvalidRequest(
                    "One policy is tried at a time.",
                    errors=[FieldError("/version", "nothing beside a document", str(asked.version))],
                )
            return NO_POLICY, await manage.protected(tenant_id, asked.document, prefix="/document", make=False)
        if asked.version is not None:
            return asked.version, (await _version(tenant_id, asked.version)).policy
        draft = await store.draft(tenant_id)
        if draft is None:
            raise NotFound("There is no draft; send a document or the number of a version.")
        return NO_POLICY, draft.policy

    async def _version(tenant_id: TenantId, version: int) -> PolicyVersion:
        found = await store.version(tenant_id, version)
        if found is None:
            raise NotFound(f"There is no version {version} of the policy.")
        return found

    return router


async def _note(request: Request) -> str:
    return decode_body(_decision, await request.body() or b"{}").note


def _before(cursor: str) -> int:
    (version,) = decode_cursor(cursor, 1)
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= _MOST:
        raise InvalidRequest(
            "The cursor is not one that this endpoint gave out.",
            errors=[
                FieldError(parameter="cursor", expected="the value of next_cursor of an earlier page", got=cursor[:80])
            ],
        )
    return version


def _tenant_of(caller: Principal) -> TenantId:
    if caller.tenant_id is None:
        raise Forbidden("A policy is read and written with a tenant's own credential.")
    return caller.tenant_id
