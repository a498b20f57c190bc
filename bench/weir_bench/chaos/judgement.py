"""The verdict on a shop: what its clients were told beside what the stores hold. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from weir_bench.chaos.client import Sent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands on the log."""

    partition: int
    offset: int


@dataclass(frozen=True)
class OnTheLog:
    """A shop's events on the log, from the earliest offset: each id with every place that it stands at, first first."""

    places: Mapping[str, Sequence[Place]]

    @property
    def ids(self) -> set[str]:
        """Different events."""
        return set(self.places)


@dataclass(frozen=True)
class Effects:
    """What the mesh did with a shop's events. Counts of ids: 1 is right."""

    decisions: Mapping[str, int]
    """Payment → decisions in PostgreSQL."""
    announced: Mapping[str, int]
    """Payment → different decisions on the topic of decisions, after dropping repeats of the same one."""
    archived: Mapping[str, int]
    """Event → rows in the lake; empty when the lake was not read."""
    consumers: Mapping[str, int]
    """Consumer → different events that it has dealt with by the ledger."""
    findings: Sequence[int]
    """``event_count`` of each finding on the attack's entity."""
    wrong_figures: Sequence[str]
    """Figures of the dashboard that differ from the recomputation."""


@dataclass
class Verdict:
    """How many of each; all zero is right. ``words`` names the first of each."""

    lost: int = 0
    twice: int = 0
    inverted: int = 0
    words: list[str] = field(default_factory=list)

    def tell(self, what: str, ids: Iterable[object]) -> int:
        """Counts, and remembers a few."""
        found = sorted(map(str, ids))
        if found:
            self.words.append(f"{what}: {len(found)}, for instance {', '.join(found[:3])}")
        return len(found)


def judge(
    sent: Mapping[str, Sent],
    kept: Iterable[str],
    log: OnTheLog,
    effects: Effects,
    *,
    payments: set[str],
    finding_events: int,
    lake_read: bool,
) -> Verdict:
    """``payments``: those of the sent ids that fraud decides on; ``finding_events``: what the attack's one finding must count (0: not sent whole)."""
    verdict = Verdict()
    kept = set(kept)
    verdict.lost += verdict.tell("acknowledged, not on the log", kept - log.ids)
    verdict.twice += verdict.tell("on the log, never sent", log.ids - set(sent))
    verdict.inverted = verdict.tell("after a later one of its subject", inversions(sent, kept, log))
    expected = log.ids & payments
    _once(verdict, "decision", expected, effects.decisions)
    _once(verdict, "announced decision", expected, effects.announced)
    if lake_read:
        _once(verdict, "row in the lake", log.ids, effects.archived)
    for consumer, done in sorted(effects.consumers.items()):
        surplus = done - len(log.ids)
        if surplus:
            verdict.words.append(f"{consumer} did {done} of {len(log.ids)} different events")
        verdict.twice += max(0, surplus)
        verdict.lost += max(0, -surplus)
    if finding_events and list(effects.findings) != [finding_events]:
        verdict.words.append(f"findings on the attack count {list(effects.findings)} events, not [{finding_events}]")
        right = sum(effects.findings) < finding_events
        verdict.lost += right
        verdict.twice += not right
    verdict.twice += verdict.tell("figures of the dashboard that differ", effects.wrong_figures)
    return verdict


def inversions(sent: Mapping[str, Sent], kept: set[str], log: OnTheLog) -> list[str]:
    """Acknowledged ids whose first record stands after the first record of a later event of their subject, or on another partition."""
    firsts: dict[str, list[tuple[int, int, int, str]]] = {}
    for id_ in kept & log.ids & set(sent):
        first = log.places[id_][0]
        mine = sent[id_]
        firsts.setdefault(mine.subject, []).append((first.partition, first.offset, mine.sequence, id_))
    wrong: list[str] = []
    for rows in firsts.values():
        newest = -1
        home = Counter(partition for partition, _, _, _ in rows).most_common(1)[0][0]
        for partition, _, sequence, id_ in sorted(rows):
            if partition != home or sequence < newest:
                wrong.append(id_)
            newest = max(newest, sequence)
    return wrong


def _once(verdict: Verdict, what: str, expected: set[str], counts: Mapping[str, int]) -> None:
    verdict.lost += verdict.tell(f"without a {what}", {id_ for id_ in expected if not counts.get(id_)})
    verdict.twice += verdict.tell(f"more than one {what}", {id_ for id_, count in counts.items() if count > 1})
    verdict.twice += verdict.tell(f"a {what} without an event", set(counts) - expected)
