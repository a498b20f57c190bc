"""The version of a case in HTTP: ``ETag``, and ``If-Match`` (RFC 9110, section 13.1.1)."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Depends, Header
from weir_common.problems import FieldError, InvalidRequest

from weir_fraud.work_case import Seen

_PATTERN: Final = r'^(\*|"[0-9]{1,9}")$'
_TAG: Final = re.compile(r'\*|"[0-9]{1,9}"', re.ASCII)


def entity_tag(version: int) -> dict[str, str]:
    """The header of an answer that shows a case."""
    return {"ETag": f'"{version}"'}


def _seen(
    if_match: Annotated[
        str | None,
        Header(
            description="The `ETag` that was seen, or `*`: 412 when the case is another by then. With it, what another holds is taken over",
            json_schema_extra={"pattern": _PATTERN},
            examples=['"3"'],
        ),
    ] = None,
) -> Seen:
    if if_match is None:
        return Seen()
    if _TAG.fullmatch(if_match) is None:
        raise InvalidRequest(
            "`If-Match` is no version of a case.",
            errors=[FieldError(parameter="If-Match", expected='an ETag of the case, as "3", or *', got=if_match[:80])],
        )
    return Seen(any=True) if if_match == "*" else Seen(int(if_match.strip('"')))


SeenVersion = Annotated[Seen, Depends(_seen)]
"""What the caller has seen, for a route's parameter."""
