"""Cases at the public edge, without sockets."""

from __future__ import annotations

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from weir_fraud.domain.outcome import Outcome

PATH = "/api/v2/ml/cases"
TENANT = "merchant_12345"


async def shown(edge: Any, event_id: str, caller: str = "ada") -> dict[str, Any]:
    answer = await edge.get(f"{PATH}/{event_id}", caller)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    assert answer.headers["etag"] == f'"{document["version"]}"'
    return document


async def listed(edge: Any, caller: str = "ada", **query: Any) -> list[str]:
    answer = await edge.get(PATH, caller, **query)
    assert answer.status_code == 200, answer.text
    return [case["event_id"] for case in answer.json()["cases"]]


async def test_a_decision_to_review_is_a_case_and_no_other_is(edge: Any) -> None:
    event_id = await edge.decided(score=0.5)
    await edge.decided(outcome=Outcome.APPROVE)
    await edge.decided(outcome=Outcome.DECLINE)
    assert await listed(edge) == [event_id]
    case = await shown(edge, event_id)
    assert (case["state"], case["assignee"], case["score"], case["version"]) == ("open", None, 0.5, 1)
    assert [(step["action"], step["actor"], step["actor_kind"]) for step in case["history"]] == [
        ("opened", "fraud", "service")
    ]
    assert case["decision"]["reasons"][0].keys() == {"code", "text", "shopper_text", "contribution"}
    assert (case["label"], case["labels"]) == (None, [])


async def test_a_case_whose_explanation_is_deferred_does_not_look_like_one_without_reasons(edge: Any) -> None:
    explained, deferred = await edge.decided(score=0.5), await edge.decided(score=0.4, is_explained=False)
    queue = (await edge.get(PATH)).json()["cases"]
    assert [(one["event_id"], one["explanation"]) for one in queue] == [
        (explained, "complete"),
        (deferred, "deferred"),
    ]
    assert isinstance(queue[0]["reason_codes"], list)
    assert queue[1]["reason_codes"] is None
    decision = (await shown(edge, deferred))["decision"]
    assert (decision["explanation"], decision["reasons"]) == ("deferred", None)
    assert (await shown(edge, explained))["decision"]["explanation"] == "complete"


async def test_a_case_from_the_queue_to_its_label(edge: Any) -> None:
    event_id = await edge.decided()
    path = f"{PATH}/{event_id}"
    edge.passes(60)
    taken = await edge.post(f"{path}/assign", {"assignee": "me"})
    assert (taken.status_code, taken.json()["state"], taken.json()["assignee"]) == (200, "assigned", "ada")
    assert taken.headers["etag"] == '"2"'
    noted = await edge.post(f"{path}/notes", {"text": "Called her: it is her sister's address."})
    assert (noted.status_code, noted.headers["etag"]) == (200, '"3"')
    edge.passes(60)
    ended = await edge.post(f"{path}/resolve", {"resolution": "legitimate", "note": "Honest."}, if_match='"3"')
    assert (ended.status_code, ended.json()["state"], ended.json()["resolution"]) == (200, "resolved", "legitimate")
    case = await shown(edge, event_id)
    assert [(step["version"], step["action"], step.get("note")) for step in case["history"]] == [
        (1, "opened", None),
        (2, "assigned", None),
        (3, "noted", "Called her: it is her sister's address."),
        (4, "resolved", "Honest."),
    ]
    assert {step["actor"] for step in case["history"][1:]} == {"ada"}
    assert (case["label"]["label"], case["label"]["source"], case["label"]["recorded_by"]) == ("cleared", "case", "ada")
    assert case["label"]["occurred_at"] == case["resolved_at"] == "2026-03-04T12:02:00Z"
    read = (await edge.get(f"/api/v2/ml/feedback/fraud/{event_id}")).json()
    assert (read["current"], len(read["labels"])) == (case["label"], 1)
    ((announced, _),) = edge.cases.announced(TENANT)
    assert (announced.event_id, announced.kind.is_fraud) == (event_id, False)
    assert await listed(edge) == []
    assert await listed(edge, state="resolved") == [event_id]


async def test_everything_that_is_changed_is_audited_without_words_of_a_person(edge: Any) -> None:
    event_id = await edge.decided()
    path = f"{PATH}/{event_id}"
    await edge.post(f"{path}/assign", {"assignee": "bob"})
    await edge.post(f"{path}/assign", {"assignee": "bob"})
    await edge.post(f"{path}/notes", {"text": "Ada Lovelace"}, "bob")
    await edge.post(f"{path}/assign", {"assignee": None}, "bob")
    await edge.post(f"{path}/resolve", {"resolution": "fraud"}, "bob")
    entries = edge.cases.audited(TENANT)
    assert [(entry.actor, entry.detail) for entry in entries] == [
        ("ada", {"change": "assigned", "version": "2"}),
        ("bob", {"change": "noted", "version": "3"}),
        ("bob", {"change": "unassigned", "version": "4"}),
        ("bob", {"change": "resolved", "version": "5", "resolution": "fraud"}),
    ]
    assert {(entry.action, entry.object_ref) for entry in entries} == {("fraud_cases:work", f"case/{event_id}")}


@pytest.mark.parametrize("round_", range(30))
async def test_of_two_who_take_a_case_at_once_one_gets_it(edge: Any, round_: int) -> None:
    event_id = await edge.decided()
    tags = (None, None) if round_ % 2 else ('"1"', '"1"')
    answers = await asyncio.gather(
        *(
            edge.post(f"{PATH}/{event_id}/assign", {"assignee": "me"}, caller, tag)
            for caller, tag in zip(("ada", "bob"), tags, strict=True)
        )
    )
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200, 409 if round_ % 2 else 412]
    (won,) = [answer.json()["assignee"] for answer in answers if answer.status_code == 200]
    case = await shown(edge, event_id)
    assert (case["assignee"], case["version"]) == (won, 2)


async def test_what_was_changed_meanwhile_is_not_changed_unseen(edge: Any) -> None:
    event_id = await edge.decided()
    path = f"{PATH}/{event_id}"
    await edge.post(f"{path}/notes", {"text": "Seen."}, "bob")
    for step, body in (
        ("assign", {"assignee": "me"}),
        ("notes", {"text": "x"}),
        ("resolve", {"resolution": "fraud"}),
    ):
        answer = await edge.post(f"{path}/{step}", body, if_match='"1"')
        assert (answer.status_code, answer.headers["content-type"]) == (412, "application/problem+json")
        assert answer.json()["version"] == 2
    assert (await shown(edge, event_id))["version"] == 2
    assert edge.cases.announced(TENANT) == []


async def test_what_another_holds_is_taken_over_knowingly(edge: Any) -> None:
    event_id = await edge.decided()
    path = f"{PATH}/{event_id}"
    await edge.post(f"{path}/assign", {"assignee": "me"}, "bob")
    for step, body in (
        ("assign", {"assignee": "me"}),
        ("assign", {"assignee": None}),
        ("resolve", {"resolution": "fraud"}),
    ):
        held = await edge.post(f"{path}/{step}", body)
        assert (held.status_code, held.json()["assignee"], held.json()["version"]) == (409, "bob", 2)
    assert (await edge.post(f"{path}/notes", {"text": "May I?"})).status_code == 200, "notes are anybody's"
    assert (await edge.post(f"{path}/assign", {"assignee": "me"}, if_match='"3"')).json()["assignee"] == "ada"
    assert (await edge.post(f"{path}/resolve", {"resolution": "fraud"}, "bob", if_match="*")).status_code == 200
    again = await edge.post(f"{path}/resolve", {"resolution": "legitimate"}, "bob", if_match="*")
    assert (again.status_code, again.json()["resolution"]) == (409, "fraud")
    assert len(edge.cases.announced(TENANT)) == 1


async def test_a_note_goes_with_the_person_and_holds_no_card(edge: Any) -> None:
    event_id = await edge.decided(user_id="ada@example.com")
    other = await edge.decided(user_id="bob@example.com")
    text = "Ada (ada@example.com, 030 901820) paid by 4111 1111 1111 1111."
    for event in (event_id, other):
        assert (await edge.post(f"{PATH}/{event}/notes", {"text": text})).status_code == 200
    (*_, action) = await edge.cases.history(TENANT, event_id)
    assert b"ada" not in action.note.sealed
    assert b"Ada" not in action.note.sealed
    seen = "Ada (ada@example.com, 030 901820) paid by [card …1111]."
    assert (await shown(edge, event_id))["history"][1]["note"] == seen
    await edge.erase(event_id)
    assert (await shown(edge, event_id))["history"][1]["note"] is None
    assert (await shown(edge, other))["history"][1]["note"] == seen
    late = await edge.post(f"{PATH}/{event_id}/notes", {"text": "And then?"})
    assert (late.status_code, late.json()["type"].rpartition("/")[2]) == (409, "erased")
    assert (await edge.post(f"{PATH}/{event_id}/resolve", {"resolution": "fraud"})).status_code == 200


async def test_a_note_on_a_payment_of_nobody_is_sealed_too(edge: Any) -> None:
    event_id = await edge.decided(subject=str(uuid.uuid4()), user_id="nobody")
    assert (await edge.post(f"{PATH}/{event_id}/notes", {"text": "No name."})).status_code == 200
    (*_, action) = await edge.cases.history(TENANT, event_id)
    assert b"name" not in action.note.sealed
    edge.passes(timedelta(days=3).total_seconds())
    await edge.post(f"{PATH}/{event_id}/notes", {"text": "Still none."})
    assert [step.get("note") for step in (await shown(edge, event_id))["history"]] == [None, "No name.", "Still none."]


async def test_the_queue_by_score_by_age_and_in_part(edge: Any) -> None:
    events = []
    for place, score in enumerate([0.3, 0.6, 0.5, 0.5, 0.4]):
        decided_at = edge.now[0] + timedelta(minutes=place % 4)
        events.append(await edge.decided(score=score, decided_at=decided_at))
    a, b, c, d, e = events
    by_score = [b, *sorted([c, d]), e, a]
    assert await listed(edge) == by_score
    assert await listed(edge, order="oldest") == [*sorted([a, e]), b, c, d]
    assert await listed(edge, min_score=0.5) == by_score[:3]
    await edge.post(f"{PATH}/{c}/assign", {"assignee": "me"})
    await edge.post(f"{PATH}/{d}/assign", {"assignee": "bob"})
    await edge.post(f"{PATH}/{e}/resolve", {"resolution": "fraud"})
    assert await listed(edge, state="open") == [b, a]
    assert await listed(edge, state="assigned") == sorted([c, d])
    assert await listed(edge, state="resolved") == [e]
    assert await listed(edge, assignee="me") == [c]
    assert await listed(edge, "bob", assignee="me") == [d]
    assert await listed(edge, assignee="bob") == [d]


@pytest.mark.parametrize("order", ["score", "oldest"])
async def test_pages_have_neither_gap_nor_repeat(edge: Any, order: str) -> None:
    for place in range(7):
        await edge.decided(score=[0.5, 0.25, 0.1][place % 3], decided_at=edge.now[0] + timedelta(seconds=place % 2))
    whole = await listed(edge, order=order)
    assert len(whole) == 7
    found: list[str] = []
    query: dict[str, Any] = {"order": order, "limit": 2}
    while True:
        page = (await edge.get(PATH, **query)).json()
        found += [case["event_id"] for case in page["cases"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == whole
    other = {"score": "oldest", "oldest": "score"}[order]
    assert (await edge.get(PATH, order=other, cursor=query["cursor"])).status_code == 422


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"},
        {"min_score": "nan"},
        {"min_score": "2"},
        {"order": "newest"},
        {"limit": "0"},
        {"limit": "201"},
        {"cursor": "x"},
        {"cursor": "WzEsMiwzXQ"},
        {"cursor": "WyJzY29yZSIsIm5hbiIsIm5vbmUiXQ"},
        {"assignee": ""},
        {"assignee": "a b"},
        {"assignee": "a\x00"},
    ],
)
async def test_a_parameter_that_is_none_is_named(edge: Any, query: dict[str, str]) -> None:
    answer = await edge.get(PATH, **query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["parameter"] == next(iter(query))


@pytest.mark.parametrize(
    ("step", "body", "status", "pointer"),
    [
        ("assign", {}, 422, "/assignee"),
        ("assign", {"assignee": ""}, 422, "/assignee"),
        ("assign", {"assignee": "a b"}, 422, "/assignee"),
        ("assign", {"assignee": "bob\n"}, 422, "/assignee"),
        ("assign", {"assignee": "x" * 201}, 422, "/assignee"),
        ("assign", {"assignee": 7}, 422, "/assignee"),
        ("assign", {"assignee": "bob", "tenant_id": "other"}, 422, ""),
        ("notes", {"text": ""}, 422, "/text"),
        ("notes", {"text": "x" * 4_001}, 422, "/text"),
        ("notes", {"text": None}, 422, "/text"),
        ("resolve", {"resolution": "open"}, 422, "/resolution"),
        ("resolve", {"resolution": "fraud", "note": ""}, 422, "/note"),
        ("resolve", {"resolution": "fraud", "note": "x" * 4_001}, 422, "/note"),
        ("resolve", [], 422, ""),
        ("resolve", b"{", 400, None),
        ("notes", b'{"text": "\xff"}', 400, None),
        ("notes", b'{"text": "\\ud800"}', 400, None),
        ("notes", b'{"text": ' + b"[" * 100_000, 422, "/text"),
    ],
)
async def test_a_body_that_is_none_is_told_where(
    edge: Any, step: str, body: Any, status: int, pointer: str | None
) -> None:
    event_id = await edge.decided()
    answer = await edge.post(f"{PATH}/{event_id}/{step}", body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    if pointer is not None:
        assert answer.json()["errors"][0].get("pointer", "") == pointer
    assert (await shown(edge, event_id))["version"] == 1


@pytest.mark.parametrize("tag", ["1", "", '"x"', 'W/"1"', '"1", "2"', '"9999999999"'])
async def test_a_version_that_is_none_is_told(edge: Any, tag: str) -> None:
    event_id = await edge.decided()
    answer = await edge.post(f"{PATH}/{event_id}/assign", {"assignee": "me"}, if_match=tag)
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "If-Match")


async def test_four_thousand_characters_of_any_kind_are_a_note(edge: Any) -> None:
    event_id = await edge.decided()
    for text in ("ß" * 4_000, "a\u0000b", "🂡"):
        assert (await edge.post(f"{PATH}/{event_id}/notes", {"text": text})).status_code == 200
    assert (await shown(edge, event_id))["history"][2]["note"] == "a\u0000b"


async def test_who_may(edge: Any) -> None:
    event_id = await edge.decided()
    path = f"{PATH}/{event_id}"
    for caller, read, work in (
        ("nobody", 401, 401),
        ("shop", 403, 403),
        ("analyst", 403, 403),
        ("auditor", 200, 403),
        ("operator", 422, 422),
    ):
        assert (await edge.get(PATH, caller)).status_code == read
        assert (await edge.get(path, caller)).status_code == read
        assert (await edge.post(f"{path}/assign", {"assignee": "me"}, caller)).status_code == work
        assert (await edge.post(f"{path}/notes", {"text": "x"}, caller)).status_code == work
        assert (await edge.post(f"{path}/resolve", {"resolution": "fraud"}, caller)).status_code == work
    assert (await edge.get(path, "operator", tenant_id=TENANT)).status_code == 200
    assert (edge.audit.entries[-1].tenant_id, edge.audit.entries[-1].detail["reason"]) == (TENANT, "operator")
    assert (await shown(edge, event_id))["version"] == 1


async def test_a_tenant_cannot_see_or_touch_another_s_cases(edge: Any) -> None:
    event_id = await edge.decided()
    path = f"{PATH}/{event_id}"
    assert await listed(edge, "other") == []
    requests = (
        lambda **query: edge.get(path, "other", **query),
        lambda **query: edge.post(f"{path}/assign", {"assignee": "me"}, "other", **query),
        lambda **query: edge.post(f"{path}/notes", {"text": "x"}, "other", **query),
        lambda **query: edge.post(f"{path}/resolve", {"resolution": "fraud"}, "other", **query),
    )
    missing = (await edge.get(f"{PATH}/{uuid.uuid4()}", "other")).json()
    for request in requests:
        answer = await request()
        assert (answer.status_code, answer.json()["title"]) == (404, missing["title"])
        assert (await request(tenant_id=TENANT)).status_code == 403
        assert edge.audit.entries[-1].detail["reason"] == "tenant"
    assert (await edge.get(PATH, "other", tenant_id=TENANT)).status_code == 403
    assert (await shown(edge, event_id))["version"] == 1
    assert edge.cases.announced(TENANT) == []


async def test_what_is_no_case_is_not_there(edge: Any) -> None:
    approved = await edge.decided(outcome=Outcome.APPROVE)
    for event_id in (approved, uuid.uuid4()):
        assert (await edge.get(f"{PATH}/{event_id}")).status_code == 404
        assert (await edge.post(f"{PATH}/{event_id}/notes", {"text": "x"})).status_code == 404
        assert (await edge.post(f"{PATH}/{event_id}/resolve", {"resolution": "fraud"})).status_code == 404
    assert (await edge.get(f"{PATH}/none")).status_code == 422
