"""A policy as people write it: its shape, and everything that is wrong with it, each fault with its place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta
from weir_common.http import decode_body, field_error
from weir_common.privacy.free_text import may_hold_personal_data, without_personal_data
from weir_common.problems import FieldError, InvalidRequest

from weir_fraud.domain.decline_corridor import MAX_WINDOW_MINUTES, DeclineCorridor
from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.policy import (
    MAX_ENTRIES,
    MAX_EXPRESSION_CHARACTERS,
    MAX_EXPRESSIONS_CHARACTERS,
    MAX_REASON_CHARACTERS,
    MAX_RULES,
    EntityKind,
    ListKind,
    Rule,
)
from weir_fraud.ports import ConditionFault, Conditions

T = TypeVar("T")
MAX_ERRORS: Final = 100
"""So many faults are told at once."""

_Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_REASON_CHARACTERS,
        pattern=r"^[^\u0000-\u001f\u007f]+$",
        description="For analysts; no personal data: a case's number, not a person's",
    ),
]
_Share = Annotated[float, Meta(ge=0, le=1)]


class PolicyThresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Scores from which a payment is looked at by a person, and from which it is declined; `review` is at most `decline`."""

    review: _Share
    decline: _Share


class PolicyCorridor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The share of declines among the decisions of the last minutes. Above `ceiling` declines are halted, below `floor` there is a warning."""

    window_minutes: Annotated[int, Meta(ge=1, le=MAX_WINDOW_MINUTES)]
    least_decisions: Annotated[int, Meta(ge=1, le=10_000_000, description="With fewer nothing is halted")]
    ceiling: Annotated[float, Meta(gt=0, le=1)]
    floor: _Share = 0.0


class PolicyEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Names an entity either by `value`, raw as in events, or by `protected`, as it was read from the draft or the version in force."""

    kind: EntityKind
    reason: _Reason
    value: Annotated[str, Meta(min_length=1, max_length=1_024, pattern=r"^[^\u0000]+$")] | None = None
    protected: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(min_length=1, max_length=2)] | None = (
        None
    )
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    recognised_until: Annotated[datetime, Meta(tz=True, description="Shown beside `protected`; not read")] | None = None


class PolicyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first enabled rule whose expression holds decides."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,63}$")]
    expression: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_EXPRESSION_CHARACTERS,
            pattern=r"^[^\u0000]+$",
            description="CEL that gives a bool, for example `score > 0.05 && features.user_payment_count_1h > 3.0`",
        ),
    ]
    action: Outcome
    reason: _Reason
    enabled: bool = True
    override: Annotated[bool, Meta(description="Of `approve` only: also what the score would decline")] = False


class PolicyDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole policy. Entries of both lists together are at most 10,000."""

    thresholds: PolicyThresholds | None = None
    allow: Annotated[list[PolicyEntry], Meta(max_length=MAX_ENTRIES)] = []
    deny: Annotated[list[PolicyEntry], Meta(max_length=MAX_ENTRIES)] = []
    rules: Annotated[list[PolicyRule], Meta(max_length=MAX_RULES)] = []
    decline_corridor: PolicyCorridor | None = None


class _Parts(msgspec.Struct, forbid_unknown_fields=True):
    """Of a document; each is read by itself, so that one fault does not hide the next."""

    thresholds: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    allow: Annotated[list[msgspec.Raw], Meta(max_length=MAX_ENTRIES)] = []
    deny: Annotated[list[msgspec.Raw], Meta(max_length=MAX_ENTRIES)] = []
    rules: Annotated[list[msgspec.Raw], Meta(max_length=MAX_RULES)] = []
    decline_corridor: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_parts = msgspec.json.Decoder(_Parts)
_thresholds = msgspec.json.Decoder(PolicyThresholds | None)
_corridor = msgspec.json.Decoder(PolicyCorridor | None)
_entry = msgspec.json.Decoder(PolicyEntry)
_rule = msgspec.json.Decoder(PolicyRule)


class WrittenPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A valid one, whose entries are not protected yet."""

    thresholds: Thresholds | None
    allow: list[PolicyEntry]
    deny: list[PolicyEntry]
    rules: tuple[Rule, ...]
    decline_corridor: DeclineCorridor | None = None

    def list_of(self, kind: ListKind) -> list[PolicyEntry]:
        return self.deny if kind is ListKind.DENY else self.allow


class Faults:
    """Collects what is wrong, up to a bound."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._errors: list[FieldError] = []

    def add(self, pointer: str, expected: str, got: str) -> None:
        self._errors.append(FieldError(self._prefix + pointer, expected, got[:200]))

    def decode(self, decoder: msgspec.json.Decoder[T], raw: bytes | msgspec.Raw, pointer: str) -> T | None:
        """The part; None, and the fault is noted, if it has another shape."""
        try:
            return decoder.decode(raw)
        except msgspec.ValidationError as error:
            self._errors.append(field_error(error, self._prefix + pointer))
            return None

    def raise_if_any(self) -> None:
        if self._errors:
            told = self._errors[:MAX_ERRORS]
            more = len(self._errors) - len(told)
            detail = "The policy is not valid." if not more else f"The policy is not valid; {more} more faults."
            raise InvalidRequest(detail, errors=told)


def read_policy(body: bytes | msgspec.Raw, conditions: Conditions, *, prefix: str = "") -> WrittenPolicy:
    """The policy of a body. `InvalidRequest` with all of its faults; `prefix` is where it stands in the request."""
    try:
        parts = decode_body(_parts, bytes(body))
    except InvalidRequest as error:
        if prefix and error.errors:
            moved = [msgspec.structs.replace(one, pointer=prefix + one.pointer) for one in error.errors]
            raise InvalidRequest(error.detail, errors=moved) from error
        raise
    faults = Faults(prefix)
    thresholds = None
    if isinstance(parts.thresholds, msgspec.Raw):
        thresholds = faults.decode(_thresholds, parts.thresholds, "/thresholds")
        if thresholds is not None and thresholds.review > thresholds.decline:
            faults.add("/thresholds/review", f"at most decline, {thresholds.decline}", str(thresholds.review))
    corridor = None
    if isinstance(parts.decline_corridor, msgspec.Raw):
        corridor = faults.decode(_corridor, parts.decline_corridor, "/decline_corridor")
        if corridor is not None and corridor.floor > corridor.ceiling:
            faults.add("/decline_corridor/floor", f"at most the ceiling, {corridor.ceiling}", str(corridor.floor))
    if len(parts.allow) + len(parts.deny) > MAX_ENTRIES:
        faults.add(
            "/deny", f"at most {MAX_ENTRIES} entries in both lists", f"{len(parts.allow) + len(parts.deny)} entries"
        )
    allow = _entries(parts.allow, "/allow", faults)
    deny = _entries(parts.deny, "/deny", faults)
    rules = _rules(parts.rules, conditions, faults)
    faults.raise_if_any()
    return WrittenPolicy(
        thresholds=None if thresholds is None else Thresholds(review=thresholds.review, decline=thresholds.decline),
        allow=allow,
        deny=deny,
        rules=rules,
        decline_corridor=None if corridor is None else DeclineCorridor(**msgspec.structs.asdict(corridor)),
    )


def _entries(raws: Sequence[msgspec.Raw], pointer: str, faults: Faults) -> list[PolicyEntry]:
    found: list[PolicyEntry] = []
    places: dict[tuple[EntityKind, object], int] = {}
    for place, entry in _decoded(raws, _entry, pointer, faults):
        at = f"{pointer}/{place}"
        if (entry.value is None) == (entry.protected is None):
            faults.add(at, "either value or protected", "both" if entry.value is not None else "neither")
            continue
        if entry.kind is EntityKind.COUNTRY and not _is_country(entry.value):
            faults.add(f"{at}/value", "a country's code of two capital letters", entry.value or "none")
        first = places.setdefault((entry.kind, entry.value or entry.protected), place)
        if first != place:
            faults.add(at, "each entity once", f"the entity of {pointer}/{first}")
        _look_at_text(entry.reason, f"{at}/reason", faults)
        found.append(entry)
    return found


def _rules(raws: Sequence[msgspec.Raw], conditions: Conditions, faults: Faults) -> tuple[Rule, ...]:
    found: list[Rule] = []
    places: dict[str, int] = {}
    characters = 0
    for place, rule in _decoded(raws, _rule, "/rules", faults):
        at = f"/rules/{place}"
        first = places.setdefault(rule.name, place)
        if first != place:
            faults.add(f"{at}/name", "a name of its own", f"that of /rules/{first}")
        if rule.override and rule.action is not Outcome.APPROVE:
            faults.add(f"{at}/override", "true for approve only", f"true for {rule.action.value}")
        compiled = conditions.compile(rule.expression)
        if isinstance(compiled, ConditionFault):
            faults.add(
                f"{at}/expression",
                "a CEL expression of type bool",
                f"line {compiled.line}, column {compiled.column}: {compiled.what}",
            )
        _look_at_text(rule.reason, f"{at}/reason", faults)
        characters += len(rule.expression)
        found.append(
            Rule(
                name=rule.name,
                expression=rule.expression,
                action=rule.action,
                reason=rule.reason,
                enabled=rule.enabled,
                override=rule.override,
            )
        )
    if characters > MAX_EXPRESSIONS_CHARACTERS:
        faults.add("/rules", f"expressions of at most {MAX_EXPRESSIONS_CHARACTERS} characters in all", str(characters))
    return tuple(found)


def _decoded(
    raws: Sequence[msgspec.Raw], decoder: msgspec.json.Decoder[T], pointer: str, faults: Faults
) -> Iterator[tuple[int, T]]:
    for place, raw in enumerate(raws):
        part = faults.decode(decoder, raw, f"{pointer}/{place}")
        if part is not None:
            yield place, part


def _look_at_text(text: str, pointer: str, faults: Faults) -> None:
    # What is written into a version stays for ever, also when the person it names is erased.
    if holds_personal_data(text):
        faults.add(pointer, "no e-mail address, telephone number, card or IP address", without_personal_data(text))


def holds_personal_data(text: str) -> bool:
    """Whether a text has what identifies a person, as far as a pattern can tell."""
    return may_hold_personal_data(text) and without_personal_data(text) != text


def _is_country(value: str | None) -> bool:
    return value is not None and len(value) == 2 and value.isascii() and value.isalpha() and value.isupper()
