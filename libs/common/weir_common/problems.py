"""Errors for clients, as RFC 9457 ``application/problem+json``; mapped to HTTP here and nowhere else.

Problem
 ├─ InvalidRequest     422 (or 400 when the body cannot be parsed at all)
 ├─ Unauthenticated    401
 ├─ Forbidden          403
 ├─ NotFound           404
 ├─ Conflict           409
 ├─ PreconditionFailed 412
 ├─ PayloadTooLarge    413
 ├─ TooManyRequests    429, with Retry-After
 └─ Unavailable        503, with Retry-After
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

TYPE_ROOT = "https://weir.example/problems/"
MEDIA_TYPE = "application/problem+json"


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong: where (RFC 6901 pointer into the body, or ``parameter``), what is right, what came."""

    pointer: str = ""
    expected: str = ""
    got: str = ""
    parameter: str = ""


class Problem(Exception):
    """A client error or an outage, told in full."""

    status = 500
    slug = "internal"
    title = "Something went wrong on our side"

    def __init__(
        self,
        detail: str = "",
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        status: int | None = None,
        slug: str | None = None,
        title: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail or title or self.title)
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        self.status = status if status is not None else type(self).status
        self.slug = slug if slug is not None else type(self).slug
        self.title = title if title is not None else type(self).title

    def document(self, instance: str = "", trace_id: str = "") -> dict[str, Any]:
        """The JSON members, in the order in which people read them."""
        document: dict[str, Any] = {"type": TYPE_ROOT + self.slug, "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        if instance:
            document["instance"] = instance
        if self.errors:
            document["errors"] = [msgspec.to_builtins(error) for error in self.errors]
        if trace_id:
            document["trace_id"] = trace_id
        document.update(self.extra)
        return document


class InvalidRequest(Problem):
    status = 422
    slug = "invalid-request"
    title = "The request is not valid"


class Unauthenticated(Problem):
    status = 401
    slug = "unauthenticated"
    title = "Who is calling is not known"

    def __init__(self, detail: str = "", **more: Any) -> None:
        more.setdefault("headers", {"WWW-Authenticate": 'Bearer realm="weir"'})
        super().__init__(detail, **more)


class Forbidden(Problem):
    status = 403
    slug = "forbidden"
    title = "The caller may not do this"


class NotFound(Problem):
    status = 404
    slug = "not-found"
    title = "There is no such thing"


class Conflict(Problem):
    status = 409
    slug = "conflict"
    title = "The request conflicts with the present state"


class PreconditionFailed(Problem):
    status = 412
    slug = "precondition-failed"
    title = "It was changed since the caller saw it"


class PayloadTooLarge(Problem):
    status = 413
    slug = "payload-too-large"
    title = "The body is larger than allowed"


class TooManyRequests(Problem):
    status = 429
    slug = "too-many-requests"
    title = "The quota is used up"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1, **more: Any) -> None:
        headers = {"Retry-After": str(max(1, retry_after_seconds)), **(more.pop("headers", None) or {})}
        super().__init__(detail, headers=headers, **more)


class Unavailable(Problem):
    status = 503
    slug = "unavailable"
    title = "A part that this needs does not answer now"

    def __init__(self, detail: str = "", *, retry_after_seconds: int = 1, **more: Any) -> None:
        headers = {"Retry-After": str(max(1, retry_after_seconds)), **(more.pop("headers", None) or {})}
        super().__init__(detail, headers=headers, **more)
