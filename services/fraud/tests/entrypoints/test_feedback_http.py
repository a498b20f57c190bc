"""Labels at the public edge, without sockets."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from weir_fraud.domain.outcome import Outcome

PATH = "/api/v2/ml/feedback/fraud"
TENANT = "merchant_12345"
AN_HOUR_AGO = "2026-03-04T11:00:00Z"


def label(event_id: object = None, **members: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4() if event_id is None else event_id),
        "label": "chargeback",
        "occurred_at": AN_HOUR_AGO,
    } | members


def statuses(answer: Any) -> list[str]:
    return [result["status"] for result in answer.json()["results"]]


async def test_a_label_is_kept_once_announced_and_read_back(edge: Any) -> None:
    event_id = await edge.decided(outcome=Outcome.APPROVE)
    sent = label(event_id, reference="dp_1PqRsT", occurred_at="2026-03-04T12:00:00.5+01:00")
    first = await edge.post(PATH, sent, "shop")
    assert (first.status_code, statuses(first)) == (200, ["recorded"])
    assert first.json()["summary"] == {"received": 1, "recorded": 1, "duplicate": 0, "unknown_event": 0, "invalid": 0}
    again = await edge.post(PATH, {"labels": [sent, label(event_id, label="cleared")]}, "shop")
    assert (again.status_code, statuses(again)) == (200, ["duplicate", "recorded"])
    read = (await edge.get(f"{PATH}/{event_id}")).json()
    assert [one["label"] for one in read["labels"]] == ["chargeback", "cleared"]
    assert read["current"] == {
        "label": "chargeback",
        "is_fraud": True,
        "occurred_at": "2026-03-04T11:00:00.500000Z",
        "recorded_at": "2026-03-04T12:00:00Z",
        "recorded_by": "key:shop",
        "source": "feedback",
        "reference": "dp_1PqRsT",
    }
    assert [(one.kind.value, subject) for one, subject in edge.cases.announced(TENANT)] == [
        ("chargeback", (await edge.decisions.find(TENANT, event_id)).subject),
        ("cleared", (await edge.decisions.find(TENANT, event_id)).subject),
    ]


async def test_a_label_of_an_event_without_decision_is_kept_and_says_so(edge: Any) -> None:
    sent = label()
    answer = await edge.post(PATH, sent, "shop")
    assert (answer.status_code, statuses(answer)) == (200, ["unknown_event"])
    assert "no decision" in answer.json()["results"][0]["detail"]
    assert (await edge.get(f"{PATH}/{sent['event_id']}")).json()["current"]["label"] == "chargeback"
    assert statuses(await edge.post(PATH, sent, "shop")) == ["duplicate"]


async def test_a_bad_label_fails_no_other(edge: Any) -> None:
    event_id = await edge.decided()
    batch = [
        label(event_id),
        label(event_id),
        {"event_id": str(event_id), "label": "chargeback"},
        label(event_id, label="suspicious"),
        label(event_id, occurred_at="2026-03-05T12:00:01Z"),
        label(event_id, occurred_at="2026-03-05T12:00:00Z"),
        "chargeback",
    ]
    answer = await edge.post(PATH, {"labels": batch}, "shop")
    assert answer.status_code == 207
    assert statuses(answer) == ["recorded", "duplicate", "invalid", "invalid", "invalid", "recorded", "invalid"]
    assert [result["index"] for result in answer.json()["results"]] == list(range(7))
    pointers = [result["errors"][0].get("pointer", "") for result in answer.json()["results"] if "errors" in result]
    assert pointers == ["/occurred_at", "/label", "/occurred_at", ""]
    assert len((await edge.get(f"{PATH}/{event_id}")).json()["labels"]) == 2


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"event_id": "none"}, "/event_id"),
        ({"event_id": 7}, "/event_id"),
        ({"label": "Chargeback"}, "/label"),
        ({"label": None}, "/label"),
        ({"occurred_at": "2026-03-04T11:00:00"}, "/occurred_at"),
        ({"occurred_at": "2026-03-04"}, "/occurred_at"),
        ({"occurred_at": 1772622000}, "/occurred_at"),
        ({"occurred_at": "1999-12-31T23:59:59Z"}, "/occurred_at"),
        ({"occurred_at": "0001-01-01T00:00:00+14:00"}, "/occurred_at"),
        ({"occurred_at": "9999-12-31T23:59:59-14:00"}, "/occurred_at"),
        ({"reference": ""}, "/reference"),
        ({"reference": "x" * 65}, "/reference"),
        ({"reference": "a\u0000b"}, "/reference"),
        ({"reference": "dispute\n"}, "/reference"),
        ({"reference": "ada@example.com"}, "/reference"),
        ({"reference": "4111 1111 1111 1111"}, "/reference"),
        ({"reference": "case 4111111111111111"}, "/reference"),
        ({"reference": "tel: 030 901820"}, "/reference"),
        ({"tenant_id": "other"}, ""),
    ],
)
async def test_what_is_no_label_is_told_where(edge: Any, change: dict[str, Any], pointer: str) -> None:
    answer = await edge.post(PATH, label() | change, "shop")
    assert (answer.status_code, statuses(answer)) == (422, ["invalid"])
    (error,) = answer.json()["results"][0]["errors"]
    assert error.get("pointer", "") == pointer
    assert "4111" not in answer.text
    assert edge.cases.announced(TENANT) == []


@pytest.mark.parametrize("reference", ["74537604221431003881865", "dp_1PqRsT", "CASE-2026/000123", "#7"])
async def test_a_reference_is_taken_as_it_is(edge: Any, reference: str) -> None:
    sent = label(reference=reference)
    assert (await edge.post(PATH, sent, "shop")).status_code == 200
    assert (await edge.get(f"{PATH}/{sent['event_id']}")).json()["current"]["reference"] == reference


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b'"chargeback"', 422),
        (b'{"labels": []}', 422),
        (b'{"labels": null}', 422),
        (b'{"labels": {}}', 422),
        (b'{"labels": [{}], "tenant_id": "other"}', 422),
        (b'{"labels": [' + b",".join([b"{}"] * 501) + b"]}", 413),
        (b'{"labels": [' + b"[" * 100_000, 413),
    ],
)
async def test_what_is_no_batch_is_a_problem(edge: Any, body: bytes, status: int) -> None:
    answer = await edge.post(PATH, body, "shop")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


async def test_a_label_that_is_no_text_is_invalid(edge: Any) -> None:
    body = json.dumps({"labels": [label(), label(reference="?")]}).encode().replace(b'"?"', b'"\xff"')
    answer = await edge.post(PATH, body, "shop")
    assert answer.status_code in (400, 207), answer.text


async def test_five_hundred_are_taken_at_once(edge: Any) -> None:
    answer = await edge.post(PATH, {"labels": [label() for _ in range(500)]}, "shop")
    assert (answer.status_code, answer.json()["summary"]["unknown_event"]) == (200, 500)


async def test_the_newest_counts_whenever_it_comes(edge: Any) -> None:
    event_id = await edge.decided()
    for kind, occurred_at in (("cleared", "2026-03-04T10:00:00Z"), ("chargeback", "2026-03-04T09:00:00Z")):
        await edge.post(PATH, label(event_id, label=kind, occurred_at=occurred_at), "shop")
        edge.passes(60)
    assert (await edge.get(f"{PATH}/{event_id}")).json()["current"]["label"] == "cleared"


async def test_a_request_is_audited_once_and_only_if_it_changed_something(edge: Any) -> None:
    sent = {"labels": [label(), label(), {}]}
    await edge.post(PATH, sent, "shop")
    await edge.post(PATH, sent, "shop")
    (entry,) = edge.cases.audited(TENANT)
    assert (entry.actor, entry.action, entry.service) == ("key:shop", "fraud:label", "fraud")
    assert entry.detail == {"unknown_event": "2"}


async def test_who_may(edge: Any) -> None:
    event_id = await edge.decided()
    sent = label(event_id)
    assert (await edge.post(PATH, sent, "nobody")).status_code == 401
    assert (await edge.post(PATH, sent, "analyst")).status_code == 403
    assert (await edge.post(PATH, sent, "auditor")).status_code == 403
    assert (await edge.post(PATH, sent, "operator")).status_code == 422, "an operator says which tenant"
    assert (await edge.post(PATH, sent, "operator", tenant_id=TENANT)).status_code == 200
    assert (edge.audit.entries[-1].tenant_id, edge.audit.entries[-1].detail["reason"]) == (TENANT, "operator")
    assert statuses(await edge.post(PATH, sent, "ada")) == ["duplicate"]


async def test_a_tenant_cannot_see_or_write_another_s_labels(edge: Any) -> None:
    event_id = await edge.decided()
    await edge.post(PATH, label(event_id), "shop")
    assert (await edge.get(f"{PATH}/{event_id}", "other")).status_code == 404
    assert (await edge.get(f"{PATH}/{event_id}", "other", tenant_id=TENANT)).status_code == 403
    assert (await edge.post(PATH, label(event_id), "other", tenant_id=TENANT)).status_code == 403
    assert edge.audit.entries[-1].detail["reason"] == "tenant"
    assert statuses(await edge.post(PATH, label(event_id), "other")) == ["unknown_event"], "nor learn that it is there"
    assert len((await edge.get(f"{PATH}/{event_id}")).json()["labels"]) == 1


async def test_an_event_without_labels_has_none_and_an_unknown_one_is_not_there(edge: Any) -> None:
    event_id = await edge.decided()
    read = (await edge.get(f"{PATH}/{event_id}")).json()
    assert (read["current"], read["labels"]) == (None, [])
    assert (await edge.get(f"{PATH}/{uuid.uuid4()}")).status_code == 404
    assert (await edge.get(f"{PATH}/none")).status_code == 422


async def test_of_the_same_label_sent_at_once_one_is_recorded(edge: Any) -> None:
    sent = label(await edge.decided())
    answers = await asyncio.gather(*(edge.post(PATH, sent, "shop") for _ in range(10)))
    assert sorted(statuses(answer)[0] for answer in answers) == ["duplicate"] * 9 + ["recorded"]
    assert len(edge.cases.announced(TENANT)) == 1


async def test_a_moment_is_one_in_whatever_zone(edge: Any) -> None:
    event_id = await edge.decided()
    assert statuses(await edge.post(PATH, label(event_id), "shop")) == ["recorded"]
    assert statuses(await edge.post(PATH, label(event_id, occurred_at="2026-03-04T16:30:00+05:30"), "shop")) == [
        "duplicate"
    ]
    edge.passes(timedelta(days=1).total_seconds())
    assert statuses(await edge.post(PATH, label(event_id), "shop")) == ["duplicate"]
