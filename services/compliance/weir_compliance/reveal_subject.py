"""Who a request's subject is on the log, and their records as they were before they were sealed.

A record is opened only by a key of the request's own subject. What is sealed for somebody else stays sealed, also if the subject
appears in it: a shared device or cart must not hand one person's identifiers to another (GDPR Art. 15(4)).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
from weir_common.events import encode_event, event_on_the_log
from weir_common.ids import SubjectId, TenantId
from weir_common.privacy.errors import KeyDestroyed, SealBroken, VaultUnavailable
from weir_common.privacy.identifiers import Identifier, user, visitor
from weir_common.privacy.ports import SubjectVault
from weir_common.privacy.reveal import reveal
from weir_common.privacy.subject_cipher import SubjectCipher

from weir_compliance.domain.manifest import SealedReason
from weir_compliance.domain.subject import Subject

# A float stays as it was written.
_decoder: Final = msgspec.json.Decoder(float_hook=msgspec.Raw)


class RevealSubject:
    """Asks the vault; each question has `timeout_seconds`."""

    def __init__(self, vault: SubjectVault, *, timeout_seconds: float = 10.0) -> None:
        self._vault = vault
        self._timeout_seconds = timeout_seconds

    async def __call__(self, tenant_id: TenantId, subject: Subject) -> "RevealedSubject":
        """The subject as the vault knows it now. VaultUnavailable if it does not answer."""
        by_identifier = identifiers_of(subject)
        async with _in_time(self._timeout_seconds):
            found = await self._vault.find(tenant_id, list(by_identifier))
        given = {one.subject_id: by_identifier[identifier] for identifier, one in found.items()}
        return RevealedSubject(tenant_id, given, self._vault, self._timeout_seconds)


class RevealedSubject:
    """`given` has the identifier that the requester gave by subject id. `left_sealed` counts records that stayed sealed."""

    def __init__(
        self, tenant_id: TenantId, given: Mapping[SubjectId, str], vault: SubjectVault, timeout_seconds: float
    ) -> None:
        self._tenant_id = tenant_id
        self._given: dict[str, str] = {str(subject_id): one for subject_id, one in given.items()}
        self._vault = vault
        self._timeout_seconds = timeout_seconds
        self._ciphers: dict[str, SubjectCipher | None] = {}
        self.left_sealed: Counter[SealedReason] = Counter()

    @property
    def subject_ids(self) -> list[str]:
        """Those under which stores of protected data know the subject; none if the vault does not know the identifiers."""
        return sorted(self._given)

    async def __call__(self, text: bytes) -> bytes:
        """The record with its own events opened and the subject's ids turned back; the same text if there is nothing of either.

        What is no JSON comes back as it is, for whoever judges records. VaultUnavailable if a key cannot be read now.
        """
        if b'"sealed"' not in text and not any(one.encode() in text for one in self._given):
            return text
        try:
            document = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return text
        for key_id in set(_key_ids(document)):
            if key_id in self._given and key_id not in self._ciphers:
                self._ciphers[key_id] = await self._cipher(SubjectId(key_id))
        sealed: set[SealedReason] = set()
        revealed = msgspec.json.encode(self._revealed(document, sealed))
        self.left_sealed.update(sealed)
        return revealed

    async def _cipher(self, subject_id: SubjectId) -> SubjectCipher | None:
        try:
            async with _in_time(self._timeout_seconds):
                return await self._vault.open_key(self._tenant_id, subject_id)
        except KeyDestroyed:
            return None

    def _revealed(self, value: Any, sealed: set[SealedReason]) -> Any:
        match value:
            case str():
                return self._named(value)
            case list():
                return [self._revealed(one, sealed) for one in value]
            case dict() if (key_id := _key_id(value)) is not None:
                return self._opened(value, key_id, sealed)
            case dict():
                return {self._named(name): self._revealed(one, sealed) for name, one in value.items()}
            case _:
                return value

    def _opened(self, event: dict[str, Any], key_id: str, sealed: set[SealedReason]) -> Any:
        cipher = self._ciphers.get(key_id)
        if cipher is not None:
            try:
                original = reveal(event_on_the_log(msgspec.json.encode(event)), cipher)
            except (SealBroken, msgspec.ValidationError):
                sealed.add(SealedReason.BROKEN)
            else:
                return self._revealed(_decoder.decode(encode_event(original)), sealed)
        else:
            sealed.add(SealedReason.KEY_DESTROYED if key_id in self._given else SealedReason.ANOTHER_PERSON)
        rest = {name: one for name, one in event.items() if name != "sealed"}
        return {**self._revealed(rest, sealed), "sealed": event["sealed"]}

    def _named(self, text: str) -> str:
        """With the requester's own identifiers in place of subject ids, also inside the name of a rule's entity."""
        for subject_id, identifier in self._given.items():
            text = text.replace(subject_id, identifier)
        return text


def identifiers_of(subject: Subject) -> dict[Identifier, str]:
    """As the vault has them, each with the value that the requester gave."""
    users = {user(value): value for value in subject.user_ids}
    return users | {visitor(value): value for value in subject.anonymous_ids}


def _key_id(value: dict[str, Any]) -> str | None:
    """Under whose key it is sealed, if this is a sealed event."""
    sealed = value.get("sealed")
    if not isinstance(sealed, dict) or "event_metadata" not in value:
        return None
    key_id = sealed.get("key_id")
    return key_id if isinstance(key_id, str) else None


def _key_ids(value: Any) -> Iterator[str]:
    match value:
        case list():
            for one in value:
                yield from _key_ids(one)
        case dict():
            key_id = _key_id(value)
            if key_id is not None:
                yield key_id
            for one in value.values():
                yield from _key_ids(one)
        case _:
            return


@asynccontextmanager
async def _in_time(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise VaultUnavailable("the vault did not answer in time") from error
