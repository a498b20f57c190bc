"""Who decides: lists, rules, thresholds; and what a rule does that has no answer."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from weir_fraud.domain.model import Thresholds
from weir_fraud.domain.outcome import SEVERITY, Outcome, outcome_of
from weir_fraud.domain.policy import Entity, EntityKind, Entry, Policy, Rule
from weir_fraud.domain.policy_judgement import WITHOUT_POLICY, Bound, ConditionFailed, PolicyInForce, Verdict

AT = datetime(2026, 3, 4, 12, tzinfo=UTC)
OF_MODEL = Thresholds(review=0.3, decline=0.7)
ANN = Entity(EntityKind.USER, "sub_ann")
PHONE = Entity(EntityKind.DEVICE, "dev_1")
SCORES = {"approve": 0.1, "review": 0.5, "decline": 0.9}


def answers(bound: Bound, name: str) -> bool:
    """In these tests an expression is the name of a fact: true, false, or no answer."""
    value = bound[name]
    if value is None:
        raise ConditionFailed(name)
    return bool(value)


def rule(name: str, action: str, **more: Any) -> Rule:
    return Rule(name=name, expression=name, action=Outcome(action), reason="because", **more)


def in_force(*rules: Rule, **lists: Any) -> PolicyInForce:
    def condition(name: str) -> Any:
        return lambda bound: answers(bound, name)

    policy = Policy(rules=rules, **lists)
    return PolicyInForce(4, policy, [condition(one.expression) for one in rules], lambda facts: facts)


def judge(policy: PolicyInForce, score: float, facts: Mapping[str, bool | None], *entities: Entity) -> Verdict:
    return policy.judge(entities, lambda: facts, score, OF_MODEL, AT)


def entry(entity: Entity, **more: Any) -> Entry:
    return Entry(kind=entity.kind, protected=(entity.value, f"{entity.value}-to-come"), reason="case 1", **more)


@pytest.mark.parametrize(
    ("action", "override", "by_score", "outcome"),
    [
        ("decline", False, "approve", "decline"),
        ("decline", False, "review", "decline"),
        ("decline", False, "decline", "decline"),
        ("review", False, "approve", "review"),
        ("review", False, "review", "review"),
        ("review", False, "decline", "decline"),
        ("approve", False, "approve", "approve"),
        ("approve", False, "review", "approve"),
        ("approve", False, "decline", "decline"),
        ("approve", True, "review", "approve"),
        ("approve", True, "decline", "approve"),
    ],
)
def test_what_a_matching_rule_makes_of_the_score(action: str, override: bool, by_score: str, outcome: str) -> None:
    verdict = judge(in_force(rule("one", action, override=override)), SCORES[by_score], {"one": True})
    assert (verdict.outcome, verdict.model_outcome) == (Outcome(outcome), Outcome(by_score))
    assert (verdict.rule, verdict.errors, verdict.policy_version) == ("one", (), 4)


@pytest.mark.parametrize(
    ("facts", "score", "outcome", "by"),
    [
        # The first that matches decides, also over a severer one after it.
        ({"trusted": True, "bad": True, "odd": True}, 0.5, "approve", "trusted"),
        ({"trusted": False, "bad": True, "odd": True}, 0.1, "decline", "bad"),
        ({"trusted": False, "bad": False, "odd": True}, 0.1, "review", "odd"),
        ({"trusted": False, "bad": False, "odd": False}, 0.1, "approve", None),
        ({"trusted": False, "bad": False, "odd": False}, 0.9, "decline", None),
    ],
)
def test_rules_are_asked_in_order(facts: dict[str, bool], score: float, outcome: str, by: str | None) -> None:
    policy = in_force(rule("trusted", "approve"), rule("bad", "decline"), rule("odd", "review"))
    verdict = judge(policy, score, facts)
    assert (verdict.outcome, verdict.rule) == (Outcome(outcome), by)


def test_a_disabled_rule_is_not_asked() -> None:
    policy = in_force(rule("off", "decline", enabled=False), rule("on", "review"))
    assert judge(policy, 0.1, {"on": True}).rule == "on"


def test_the_deny_list_comes_before_the_allow_list_and_both_before_rules() -> None:
    policy = in_force(rule("any", "review"), deny=(entry(PHONE),), allow=(entry(ANN),))
    both = judge(policy, 0.1, {"any": True}, ANN, PHONE)
    assert (both.outcome, both.rule, both.model_outcome) == (Outcome.DECLINE, "deny:device", Outcome.APPROVE)
    allowed = judge(policy, 0.99, {"any": True}, ANN)
    assert (allowed.outcome, allowed.rule, allowed.model_outcome) == (Outcome.APPROVE, "allow:user", Outcome.DECLINE)
    assert judge(policy, 0.1, {"any": True}, Entity(EntityKind.VISITOR, "sub_ann")).rule == "any", "kinds do not mix"
    later = Entity(EntityKind.DEVICE, "dev_1-to-come")
    assert judge(policy, 0.1, {"any": True}, later).rule == "deny:device", (
        "the token of the next period is known already"
    )


def test_an_entry_ends_when_it_expires() -> None:
    policy = in_force(deny=(entry(ANN, expires_at=AT),), allow=(entry(PHONE, expires_at=AT + timedelta(seconds=1)),))
    assert judge(policy, 0.1, {}, ANN).rule is None
    assert judge(policy, 0.9, {}, PHONE).rule == "allow:device"


def test_the_policys_thresholds_replace_the_models() -> None:
    policy = in_force(thresholds=Thresholds(review=0.05, decline=0.2))
    verdict = judge(policy, 0.1, {})
    assert (verdict.outcome, verdict.model_outcome) == (Outcome.REVIEW, Outcome.REVIEW)
    assert verdict.thresholds == Thresholds(review=0.05, decline=0.2)
    assert judge(WITHOUT_POLICY, 0.1, {}).thresholds == OF_MODEL


@pytest.mark.parametrize(
    ("action", "after", "outcome"),
    [
        ("decline", {"then": False}, "review"),
        ("review", {"then": False}, "review"),
        ("approve", {"then": False}, "approve"),
        # What follows may approve, but not what nobody could tell.
        ("decline", {"then": True}, "review"),
        ("approve", {"then": True}, "approve"),
    ],
)
def test_a_rule_without_an_answer_never_lets_through(action: str, after: dict[str, bool], outcome: str) -> None:
    policy = in_force(rule("broken", action), rule("then", "approve", override=True))
    verdict = judge(policy, 0.1, {"broken": None} | after)
    assert (verdict.outcome, verdict.errors) == (Outcome(outcome), ("broken",))
    assert verdict.rule == ("then" if after["then"] else None)


def test_without_facts_no_rule_has_an_answer() -> None:
    def cannot(facts: Any) -> Bound:
        raise ConditionFailed("facts")

    policy = PolicyInForce(1, Policy(rules=(rule("a", "decline"), rule("b", "approve"))), [bool, bool], cannot)
    verdict = judge(policy, 0.1, {})
    assert (verdict.outcome, verdict.errors) == (Outcome.REVIEW, ("a", "b"))


_RULES = st.lists(
    st.builds(
        lambda number, action, enabled, override: rule(
            f"r{number}", action, enabled=enabled, override=override and action == "approve"
        ),
        st.integers(0, 5),
        st.sampled_from(["approve", "review", "decline"]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=6,
)


@given(
    rules=_RULES,
    facts=st.fixed_dictionaries({f"r{number}": st.sampled_from([True, False, None]) for number in range(6)}),
    score=st.floats(0, 1),
    named=st.lists(st.sampled_from([ANN, PHONE]), max_size=2),
    denied=st.lists(st.sampled_from([ANN, PHONE]), max_size=1),
    allowed=st.lists(st.sampled_from([ANN, PHONE]), max_size=1),
)
def test_what_always_holds(
    rules: list[Rule],
    facts: dict[str, bool | None],
    score: float,
    named: list[Entity],
    denied: list[Entity],
    allowed: list[Entity],
) -> None:
    policy = in_force(*rules, deny=tuple(map(entry, denied)), allow=tuple(map(entry, allowed)))
    verdict = judge(policy, score, facts, *named)
    by_score = outcome_of(score, OF_MODEL)
    assert verdict.model_outcome is by_score
    if set(named) & set(denied):
        assert verdict.outcome is Outcome.DECLINE
    elif set(named) & set(allowed):
        assert verdict.outcome is Outcome.APPROVE
    else:
        lower = SEVERITY[verdict.outcome] < SEVERITY[by_score]
        by = [one for one in rules if one.name == verdict.rule and one.enabled]
        assert not lower or any(one.action is Outcome.APPROVE for one in by), "only an approving rule lowers"
        if by_score is Outcome.DECLINE and lower:
            assert any(one.override for one in by)
        if any(one.name in verdict.errors and one.enabled and one.action is not Outcome.APPROVE for one in rules):
            asked_and_failed = [
                one for one in rules if one.enabled and one.name in verdict.errors and one.action is not Outcome.APPROVE
            ]
            before = rules.index(by[0]) if by else len(rules)
            if any(rules.index(one) < before for one in asked_and_failed):
                assert verdict.outcome is not Outcome.APPROVE


@pytest.mark.parametrize(
    ("score", "rules", "entities", "outcome"),
    [
        ("approve", (), (), "review"),
        ("review", (), (), "review"),
        ("decline", (), (), "decline"),
        ("approve", ("decline",), (), "decline"),
        # What the tenant says itself counts, as it does against its thresholds.
        ("approve", ("approve",), (), "approve"),
        ("decline", ("approve",), (), "decline"),
        ("approve", (), (ANN,), "approve"),
        ("approve", (), (PHONE,), "decline"),
    ],
)
def test_a_least_outcome_raises_what_the_thresholds_say(
    score: str, rules: tuple[str, ...], entities: tuple[Entity, ...], outcome: str
) -> None:
    policy = in_force(*(rule("yes", action) for action in rules), allow=(entry(ANN),), deny=(entry(PHONE),))
    verdict = policy.judge(entities, lambda: {"yes": True}, SCORES[score], OF_MODEL, AT, least=Outcome.REVIEW)
    assert verdict.outcome == outcome
    assert verdict.model_outcome == score


def test_thresholds_of_the_policy_are_not_for_the_scores_of_a_model_that_stands_in() -> None:
    policy = in_force(thresholds=Thresholds(review=0.01, decline=0.02))
    assert policy.judge((), dict, 0.1, OF_MODEL, AT).outcome is Outcome.DECLINE
    verdict = policy.judge((), dict, 0.1, OF_MODEL, AT, stand_in=True)
    assert (verdict.outcome, verdict.thresholds) == (Outcome.APPROVE, OF_MODEL)
