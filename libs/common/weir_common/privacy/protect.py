"""An event as the log may have it: no identifier in the open, the originals sealed under its subject's key.

Pure: who the subjects are and by which keys tokens are made comes in. What happens to which field its annotation says
(`weir_common.events.privacy`); `reveal` is the inverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from typing import Any, Final

import msgspec

from weir_common.events.event import Event
from weir_common.privacy.card_numbers import is_card_number, may_hold_card_number, without_card_numbers
from weir_common.privacy.compile_protection import clean_free_texts, take_out_identifiers
from weir_common.privacy.free_text import may_hold_personal_data, without_personal_data
from weir_common.privacy.identifiers import Identifier
from weir_common.privacy.link_tokens import LinkTokens
from weir_common.privacy.originals import Originals, seal
from weir_common.privacy.ports import Subject

_take_out: Final = take_out_identifiers()
_clean: Final = clean_free_texts()

ID: Final = "[id]"
_SHORTEST_ID_IN_TEXT: Final = 6
"""A shorter identifier is found in too many words that have nothing to do with it."""


def protect(
    event: Event, identifiers: Sequence[Identifier], subjects: Mapping[Identifier, Subject], tokens: LinkTokens
) -> Event:
    """The event without personal data; the one that came in stays as it is.

    ``identifiers`` are those of `identifiers_of`, ``subjects`` has each of them, ``tokens`` are the tenant's.
    `ValueError` if the event was protected before: to seal twice would hide the first seal.
    """
    if event.sealed is not None:
        raise ValueError("the event is protected already")
    texts: dict[str, str] = {}
    numbers: dict[str, float] = {}
    scanned: list[str] = []

    protected = _take_out(event, subjects, tokens.of, texts, numbers, scanned)
    if scanned:
        # All texts at once are looked at first, since most of the time nothing is in any of them.
        joined = "\n".join(scanned)
        own = [one for one in _own_identifiers(event) if one in joined]
        if own or may_hold_personal_data(joined):
            protected = _with_clean_texts(protected, own, texts)
    unknown = event.unknown_fields
    if not texts and not numbers and not unknown:
        return protected
    if may_hold_card_number("\n".join(texts.values()).encode()):
        texts = {pointer: without_card_numbers(text) for pointer, text in texts.items()}
    if protected is event:
        protected = copy(event)
    protected.unknown_fields = None
    originals = Originals(texts, numbers, _unknown_without_cards(unknown) if unknown else None)
    protected.sealed = seal(originals, event, subjects[identifiers[0]])
    return protected


def _own_identifiers(event: Event) -> Iterator[str]:
    """What names the event's subject, if it is long enough to be looked for in texts."""
    person = event.event_data.user_context
    if person is not None:
        for identifier in (person.user_id, person.anonymous_id):
            if identifier is not None and len(identifier) >= _SHORTEST_ID_IN_TEXT:
                yield identifier


def _with_clean_texts(event: Event, own: list[str], texts: dict[str, str]) -> Event:
    def cleaned(text: str) -> str:
        for identifier in own:
            text = text.replace(identifier, ID)
        return without_personal_data(text)

    return _clean(event, cleaned, texts)


def _unknown_without_cards(unknown: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    if not any(may_hold_card_number(bytes(value)) for value in unknown.values()):
        return unknown
    return {
        pointer: msgspec.Raw(msgspec.json.encode(_without_cards(_plain.decode(value))))
        if may_hold_card_number(bytes(value))
        else value
        for pointer, value in unknown.items()
    }


# A float stays as it was written.
_plain: Final = msgspec.json.Decoder(float_hook=msgspec.Raw)


def _without_cards(value: Any) -> Any:
    match value:
        case str():
            return without_card_numbers(value)
        case bool():
            return value
        case int() if is_card_number(str(value)):
            return f"[card …{value % 10_000:04d}]"
        case list():
            return [_without_cards(one) for one in value]
        case dict():
            return {_without_cards(name): _without_cards(one) for name, one in value.items()}
        case _:
            return value
