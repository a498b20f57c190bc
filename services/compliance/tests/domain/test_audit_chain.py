"""Every way to falsify a stored log that a chain with a trusted head can show, at every place."""

import dataclasses
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_compliance.domain.audit_chain import Break, BreakKind, Head, StoredEntry, verify_chain
from weir_compliance.domain.audit_leaf import GENESIS, AuditFact, log_id_of, write_leaf

LOG = log_id_of("shop-1")


def a_log(length: int) -> tuple[list[StoredEntry], Head]:
    rows: list[StoredEntry] = []
    previous = GENESIS
    for seq in range(length):
        fact = AuditFact(
            entry_id=f"0192-{seq}",
            tenant_id="shop-1",
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seq),
            actor="key-1",
            actor_kind="machine",
            action="export.request",
            object_ref=f"request-{seq}",
            outcome="success",
            service="compliance",
            trace_id="",
            payload=b'{"regime":"gdpr"}',
        )
        salt = os.urandom(32)
        leaf = write_leaf(fact, log_id=LOG, seq=seq, previous=previous, salt=salt)
        rows.append(StoredEntry(seq, fact.entry_id, leaf.data, leaf.hash, salt, fact.payload))
        previous = leaf.hash
    return rows, Head(LOG, length, previous)


def kinds(breaks: tuple[Break, ...]) -> set[BreakKind]:
    return {found.kind for found in breaks}


@pytest.mark.parametrize("length", [0, 1, 2, 50])
def test_an_untouched_log_is_intact(length: int) -> None:
    rows, head = a_log(length)
    verdict = verify_chain(LOG, rows, head, expected_head=head)
    assert verdict.intact
    assert verdict.entries == length
    assert verdict.head_hash == head.hash


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << (bit % 8)
    return bytes(changed)


@given(
    seq=st.integers(0, 19), bit=st.integers(0, 100_000), field=st.sampled_from(["leaf", "leaf_hash", "salt", "payload"])
)
def test_one_flipped_bit_is_found_where_it_is(seq: int, bit: int, field: str) -> None:
    rows, head = a_log(20)
    rows[seq] = dataclasses.replace(rows[seq], **{field: flip(getattr(rows[seq], field), bit)})
    verdict = verify_chain(LOG, rows, head)
    assert not verdict.intact
    assert verdict.breaks[0].seq == seq
    assert verdict.breaks[0].entry_id == rows[seq].entry_id
    assert verdict.breaks[0].expected != verdict.breaks[0].got


@given(st.integers(0, 19))
def test_a_removed_entry_is_found(seq: int) -> None:
    rows, head = a_log(20)
    del rows[seq]
    verdict = verify_chain(LOG, rows, head)
    if seq == 19:
        assert kinds(verdict.breaks) == {BreakKind.HEAD}
    else:
        assert verdict.breaks[0].seq == seq + 1
        assert kinds(verdict.breaks) >= {BreakKind.SEQUENCE, BreakKind.PREVIOUS}


@given(st.integers(0, 18))
def test_a_removed_entry_with_the_rest_renumbered_is_found(seq: int) -> None:
    rows, head = a_log(20)
    del rows[seq]
    renumbered = [dataclasses.replace(row, seq=number) for number, row in enumerate(rows)]
    verdict = verify_chain(LOG, renumbered, Head(LOG, 19, head.hash))
    assert verdict.breaks[0].seq == seq
    assert BreakKind.MEMBER in kinds(verdict.breaks)


@given(st.integers(0, 18))
def test_two_swapped_entries_are_found(seq: int) -> None:
    rows, head = a_log(20)
    first, second = rows[seq], rows[seq + 1]
    rows[seq] = dataclasses.replace(second, seq=seq)
    rows[seq + 1] = dataclasses.replace(first, seq=seq + 1)
    verdict = verify_chain(LOG, rows, head)
    assert verdict.breaks[0].seq == seq
    assert kinds(verdict.breaks) >= {BreakKind.MEMBER, BreakKind.PREVIOUS}


@given(st.integers(0, 19))
def test_an_inserted_entry_is_found(seq: int) -> None:
    rows, head = a_log(20)
    previous = rows[seq].leaf_hash
    fact = AuditFact(
        "forged", "shop-1", datetime(2026, 1, 1, tzinfo=UTC), "key-9", "machine", "x", "y", "success", "z", "", b"{}"
    )
    forged = write_leaf(fact, log_id=LOG, seq=seq + 1, previous=previous, salt=bytes(32))
    rows.insert(seq + 1, StoredEntry(seq + 1, "forged", forged.data, forged.hash, bytes(32), b"{}"))
    moved = rows[: seq + 2] + [dataclasses.replace(row, seq=row.seq + 1) for row in rows[seq + 2 :]]
    verdict = verify_chain(LOG, moved, Head(LOG, 21, head.hash))
    assert not verdict.intact
    # The forged entry fits its predecessor; its successor (or, at the end, the head) gives it away.
    assert verdict.breaks[0].seq == min(seq + 2, 20)


def test_a_tail_rewritten_together_with_the_head_is_found_only_by_a_head_noted_elsewhere() -> None:
    rows, head = a_log(10)
    other_rows, other_head = a_log(10)
    assert verify_chain(LOG, other_rows, other_head).intact
    verdict = verify_chain(LOG, other_rows, other_head, expected_head=head)
    assert kinds(verdict.breaks) == {BreakKind.EXPECTED_HEAD}
    assert verify_chain(LOG, rows, head, expected_head=Head(LOG, 4, rows[3].leaf_hash)).intact


def test_a_log_rolled_back_is_found_by_a_head_noted_elsewhere() -> None:
    rows, head = a_log(10)
    verdict = verify_chain(LOG, rows[:6], Head(LOG, 6, rows[5].leaf_hash), expected_head=head)
    assert verdict.breaks[0].got == "no such entry"


def test_an_erased_payload_leaves_the_chain_intact_and_is_counted() -> None:
    rows, head = a_log(3)
    rows[1] = dataclasses.replace(rows[1], salt=None, payload=None)
    verdict = verify_chain(LOG, rows, head)
    assert verdict.intact
    assert verdict.erased_payloads == 1


@pytest.mark.parametrize("drop", [{"salt": None}, {"payload": None}, {"salt": b"short"}])
def test_half_an_erasure_is_a_break(drop: dict[str, bytes | None]) -> None:
    rows, head = a_log(3)
    rows[1] = dataclasses.replace(rows[1], **drop)
    assert kinds(verify_chain(LOG, rows, head).breaks) == {BreakKind.COMMITMENT}


def test_another_spelling_of_the_same_leaf_is_a_break() -> None:
    rows, head = a_log(3)
    rows[1] = dataclasses.replace(rows[1], leaf=rows[1].leaf.replace(b'":"', b'": "', 1))
    assert BreakKind.LEAF_FORM in kinds(verify_chain(LOG, rows, head).breaks)


def test_an_entry_of_another_log_is_a_break() -> None:
    rows, head = a_log(3)
    verdict = verify_chain("weir.audit/shop-2", rows, dataclasses.replace(head, log_id="weir.audit/shop-2"))
    assert kinds(verdict.breaks) == {BreakKind.MEMBER}
    assert len(verdict.breaks) == 3


@pytest.mark.parametrize(
    "change", [lambda head: Head(LOG, head.size, bytes(32)), lambda head: Head("other", head.size, head.hash)]
)
def test_a_false_head_is_a_break(change: Callable[[Head], Head]) -> None:
    rows, head = a_log(3)
    assert kinds(verify_chain(LOG, rows, change(head)).breaks) == {BreakKind.HEAD}
