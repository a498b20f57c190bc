"""Does a stored audit log still say what was written? Recomputes everything and names each place where it does not.

What a chain without an outside witness can show: a changed, removed, swapped or inserted entry, unless the whole tail
and the head were rewritten together. Against that, compare with a head that was noted elsewhere (`expected_head`;
every export manifest carries one).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from weir_compliance.domain.audit_leaf import GENESIS, commitment, leaf_hash, read_leaf


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """A row as the store gives it. `payload` and `salt` are both None after an erasure.

    `fault` says why a payload that is there cannot be read.
    """

    seq: int
    entry_id: str
    leaf: bytes
    leaf_hash: bytes
    salt: bytes | None
    payload: bytes | None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a log: how many entries, and the hash of the last (GENESIS when empty)."""

    log_id: str
    size: int
    hash: bytes


class BreakKind(StrEnum):
    SEQUENCE = "sequence"  # a row is missing, doubled or out of place
    LEAF_HASH = "leaf_hash"  # the leaf is not what was hashed
    LEAF_FORM = "leaf_form"  # the leaf cannot be read
    PREVIOUS = "previous_hash"  # the leaf names another predecessor
    MEMBER = "leaf_member"  # the leaf belongs to another place, log or entry
    COMMITMENT = "commitment"  # the payload is not the one committed to
    HEAD = "head"  # the log does not end where its head says
    EXPECTED_HEAD = "expected_head"  # the log does not contain a head noted elsewhere


@dataclass(frozen=True, slots=True)
class Break:
    """One place where the log contradicts itself."""

    log_id: str
    seq: int
    entry_id: str
    kind: BreakKind
    expected: str
    got: str


@dataclass(frozen=True, slots=True)
class Verdict:
    log_id: str
    entries: int
    erased_payloads: int
    head_hash: bytes
    breaks: tuple[Break, ...]

    @property
    def intact(self) -> bool:
        return not self.breaks


class ChainVerifier:
    """Feed rows in the order of their sequence, then `finish`. Memory does not grow with the log (breaks excepted).

    After a break it goes on from what is stored, so that one changed entry is reported as such and not as a broken
    tail.
    """

    def __init__(self, log_id: str, expected_head: Head | None = None) -> None:
        self._log_id = log_id
        self._expected_head = expected_head
        self._next_seq = 0
        self._previous = GENESIS
        self._entries = 0
        self._erased = 0
        self._breaks: list[Break] = []
        self._last_entry_id = ""
        self._hash_at_expected: bytes | None = GENESIS if expected_head and expected_head.size == 0 else None

    def feed(self, row: StoredEntry) -> None:
        self._entries += 1
        self._breaks.extend(self._check(row))
        self._next_seq = row.seq + 1
        self._previous = row.leaf_hash
        self._last_entry_id = row.entry_id
        if row.payload is None and row.salt is None:
            self._erased += 1
        if self._expected_head is not None and row.seq == self._expected_head.size - 1:
            self._hash_at_expected = row.leaf_hash

    def _check(self, row: StoredEntry) -> Iterator[Break]:
        def wrong(kind: BreakKind, expected: object, got: object) -> Break:
            return Break(self._log_id, row.seq, row.entry_id, kind, str(expected), str(got))

        if row.seq != self._next_seq:
            yield wrong(BreakKind.SEQUENCE, f"entry {self._next_seq}", f"entry {row.seq}")
        computed = leaf_hash(row.leaf)
        if computed != row.leaf_hash:
            yield wrong(BreakKind.LEAF_HASH, f"stored {row.leaf_hash.hex()}", f"recomputed {computed.hex()}")
        try:
            members = read_leaf(row.leaf)
        except ValueError as error:
            yield wrong(BreakKind.LEAF_FORM, "canonical JSON", str(error))
            return
        if members.get("prev") != self._previous.hex():
            yield wrong(BreakKind.PREVIOUS, self._previous.hex(), members.get("prev"))
        for member, expected in (("seq", row.seq), ("log", self._log_id), ("entry", row.entry_id)):
            if members.get(member) != expected:
                yield wrong(BreakKind.MEMBER, f"{member} {expected}", f"{member} {members.get(member)}")
        yield from self._check_commitment(row, members)

    def _check_commitment(self, row: StoredEntry, members: Mapping[str, object]) -> Iterator[Break]:
        if row.fault:
            expected = "a payload that can be read"
            yield Break(self._log_id, row.seq, row.entry_id, BreakKind.COMMITMENT, expected, row.fault)
            return
        if row.payload is None and row.salt is None:
            return
        if row.payload is None or row.salt is None:
            got = "payload without salt" if row.salt is None else "salt without payload"
            yield Break(self._log_id, row.seq, row.entry_id, BreakKind.COMMITMENT, "payload and salt, or neither", got)
            return
        try:
            computed = commitment(row.salt, row.payload).hex()
        except ValueError as error:
            computed = str(error)
        if computed != members.get("commit"):
            expected = str(members.get("commit"))
            yield Break(self._log_id, row.seq, row.entry_id, BreakKind.COMMITMENT, expected, computed)

    def finish(self, head: Head) -> Verdict:
        """`head` is the stored one; a log without a row has size 0 and the hash GENESIS."""
        place = (self._log_id, max(self._next_seq - 1, 0), self._last_entry_id)
        breaks = list(self._breaks)
        if head.log_id != self._log_id:
            breaks.append(Break(*place, BreakKind.HEAD, f"log {self._log_id}", f"log {head.log_id}"))
        if head.size != self._next_seq:
            breaks.append(Break(*place, BreakKind.HEAD, f"{head.size} entries by the head", f"{self._next_seq} found"))
        elif head.hash != self._previous:
            breaks.append(
                Break(*place, BreakKind.HEAD, f"head {head.hash.hex()}", f"last entry {self._previous.hex()}")
            )
        noted = self._expected_head
        if noted is not None and self._hash_at_expected != noted.hash:
            got = "no such entry" if self._hash_at_expected is None else self._hash_at_expected.hex()
            breaks.append(
                Break(
                    self._log_id,
                    max(noted.size - 1, 0),
                    "",
                    BreakKind.EXPECTED_HEAD,
                    f"{noted.hash.hex()} at size {noted.size}",
                    got,
                )
            )
        return Verdict(self._log_id, self._entries, self._erased, self._previous, tuple(breaks))


def verify_chain(log_id: str, rows: Iterable[StoredEntry], head: Head, expected_head: Head | None = None) -> Verdict:
    """`rows` in the order of their sequence."""
    verifier = ChainVerifier(log_id, expected_head)
    for row in rows:
        verifier.feed(row)
    return verifier.finish(head)
