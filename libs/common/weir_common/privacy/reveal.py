"""A protected event as it was, for its subject's exports and access requests. Card numbers do not come back: they were never kept."""

from __future__ import annotations

from copy import copy
from typing import Any

from weir_common.events.event import Event
from weir_common.privacy.errors import SealBroken
from weir_common.privacy.originals import opened
from weir_common.privacy.subject_cipher import SubjectCipher


def reveal(event: Event, cipher: SubjectCipher) -> Event:
    """The event with its originals back at their places; the one that came in stays as it is.

    ``cipher`` is the key of ``event.sealed.key_id``. An event without a seal is given back unchanged. `SealBroken` if the key
    is another's, or the blob was changed or belongs to another event.
    """
    if event.sealed is None:
        return event
    originals = opened(event, event.sealed, cipher)
    revealed = copy(event)
    revealed.sealed = None
    revealed.unknown_fields = originals.unknown_fields
    copied: dict[str, Any] = {"": revealed}
    for found in (originals.texts, originals.numbers):
        for pointer, value in found.items():
            parent, _, name = pointer.rpartition("/")
            setattr(_copied(parent, copied), name, value)
    return revealed


def _copied(pointer: str, copied: dict[str, Any]) -> Any:
    """The part at a pointer, as a copy of its own within copies of all that is above it."""
    part = copied.get(pointer)
    if part is None:
        above, _, step = pointer.rpartition("/")
        parent = _copied(above, copied)
        try:
            if isinstance(parent, list):
                index = int(step)
                part = parent[index] = copy(parent[index])
            else:
                part = copy(getattr(parent, step))
                setattr(parent, step, part)
        except (AttributeError, IndexError, ValueError) as error:
            raise SealBroken("an original has no place in the event") from error
        copied[pointer] = part
    return part
