"""`/api/v2/compliance/subjects`: how a merchant finds a customer in what the mesh answers, which names subjects by random ids."""

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request, Response
from weir_common.audit import AuditEntry, AuditTrail
from weir_common.auth import Action, Principal
from weir_common.http import MsgspecResponse, TenantParameter, decode_body, principal, tenant_access
from weir_common.ids import TenantId
from weir_common.privacy.errors import VaultUnavailable
from weir_common.privacy.identifiers import user, visitor
from weir_common.privacy.ports import SubjectVault
from weir_common.privacy.protect_events import TokenKeys
from weir_common.problems import FieldError, InvalidRequest

from weir_compliance.domain.subject import MAX_IDENTIFIER_CHARACTERS, MAX_IDENTIFIERS_OF_A_KIND
from weir_compliance.entrypoints.documentation import json_of

_Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_IDENTIFIER_CHARACTERS)]
_Identifiers = Annotated[list[_Identifier], msgspec.Meta(max_length=MAX_IDENTIFIERS_OF_A_KIND)]
_TIMEOUT_SECONDS = 5.0


class LookupBody(msgspec.Struct, forbid_unknown_fields=True):
    """Identifiers as the merchant sends them in its events."""

    user_ids: _Identifiers = []
    anonymous_ids: _Identifiers = []
    device_fingerprints: _Identifiers = []


class LookupDocument(msgspec.Struct, frozen=True):
    """The subject id of each identifier; null for one of which no event came, or whose subject was erased.

    A device has a token instead, which is made and not found: it says nothing about whether events came, and changes every
    90 days.
    """

    user_ids: dict[str, str | None]
    anonymous_ids: dict[str, str | None]
    device_fingerprints: dict[str, str]


_decoder = msgspec.json.Decoder(LookupBody)
_ASKED: dict[str, Any] = {"user_ids": ["u-1029", "u-7"], "anonymous_ids": ["c-88"], "device_fingerprints": ["f3b1"]}
_ANSWERED: dict[str, Any] = {
    "user_ids": {"u-1029": "sub_yM3n0pYx1TqkQhXv7G2b3A", "u-7": None},
    "anonymous_ids": {"c-88": "sub_0v4Hn2sWcS9b1kqzT6uQeg"},
    "device_fingerprints": {"f3b1": "dev_q1Xl3yBh0n9mUe2cN8wKzw"},
}


def subjects_router(vault: SubjectVault, keys: TokenKeys, audit: AuditTrail) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api/v2/compliance/subjects", tags=["subjects"])

    @router.post(
        "/lookup",
        status_code=200,
        summary="Under which ids customers stand in findings, decisions and announcements",
        responses={200: {"description": "Subject ids by identifier", "content": _with(LookupDocument, _ANSWERED)}},
        openapi_extra={"requestBody": {"required": True, "content": _with(LookupBody, _ASKED)}},
    )
    async def look_up(
        request: Request,
        caller: Annotated[Principal, principal(Action.SUBJECTS_LOOK_UP)],
        tenant_id: TenantParameter = None,
    ) -> Response:
        """At most 50 identifiers of a kind. Nobody is made a subject by being asked for; each call is an audit entry.

        An identifier and its subject id say the same person until that person is erased; who returns then gets a new id.
        """
        asked = decode_body(_decoder, await request.body())
        tenant = TenantId(tenant_id) if tenant_id else caller.tenant_id
        if tenant is None:
            raise InvalidRequest(
                "An operator says whose customers are meant.",
                errors=[FieldError(parameter="tenant_id", expected="the id of a tenant", got="nothing")],
            )
        await tenant_access(request, caller, tenant, Action.SUBJECTS_LOOK_UP)
        # Before the answer, and without a name: the log of who looked must not be another place where customers stand.
        await audit.record(
            AuditEntry(
                tenant_id=tenant,
                actor=caller.subject,
                actor_kind=caller.kind,
                action="subjects.look_up",
                object_ref="vault/subjects",
                outcome="success",
                detail={
                    "user_ids": str(len(asked.user_ids)),
                    "anonymous_ids": str(len(asked.anonymous_ids)),
                    "device_fingerprints": str(len(asked.device_fingerprints)),
                },
            )
        )
        users = {one: user(one) for one in asked.user_ids}
        visitors = {one: visitor(one) for one in asked.anonymous_ids}
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                found = await vault.find(tenant, [*users.values(), *visitors.values()])
                device_token = (await keys.link_tokens(tenant)).of["device"]
        except TimeoutError as error:
            raise VaultUnavailable("the vault did not answer in time") from error
        ids = {identifier: subject.subject_id for identifier, subject in found.items()}
        document = LookupDocument(
            user_ids={one: ids.get(identifier) for one, identifier in users.items()},
            anonymous_ids={one: ids.get(identifier) for one, identifier in visitors.items()},
            device_fingerprints={one: device_token(one) for one in asked.device_fingerprints},
        )
        return MsgspecResponse(document, headers={"Cache-Control": "no-store"})

    return router


def _with(type_: type, example: dict[str, Any]) -> dict[str, Any]:
    content = json_of(type_)
    content["application/json"]["example"] = example
    return content
