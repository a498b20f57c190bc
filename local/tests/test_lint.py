"""The project's own rules: what breaks each, and what does not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from weir_local.lint import breaches, check_file

TABLES = frozenset({"decision", "subject"})
ROOT = Path(__file__).parents[2]


def codes(source: str, path: str = "services/fraud/weir_fraud/reads.py") -> list[str]:
    return [breach.code for breach in check_file(path, textwrap.dedent(source), TABLES)]


@pytest.mark.parametrize(
    ("code", "source"),
    [
        ("W001", "pool = create_pool('x')"),
        ("W002", "q = 'SELECT score FROM fraud.decision WHERE event_id = $1'"),
        ("W002", "q = f'SELECT score FROM {SCHEMA}.decision WHERE event_id = $1'"),
        ("W003", "async def f(pool):\n    async with pool.acquire() as c: pass"),
        ("W003", "async def f(consumer):\n    await consumer.getone()"),
        ("W004", "c = dict(enable_auto_commit=True)"),
        ("W005", "def f():\n    try: g()\n    except BaseException: pass"),
        ("W007", "import os\ndef f(): return os.environ"),
        ("W008", "q = 'SELECT d.* FROM fraud.decision AS d JOIN unnest($2::uuid[]) AS a (e) ON d.tenant_id = $1 AND d.e = a.e'"),
        ("W008", "q = f'SELECT * FROM {SCHEMA}.decision WHERE tenant_id = $1 AND (a, b) IN (SELECT * FROM unnest($2::text[], $3::text[]))'"),
    ],
)  # fmt: skip
def test_a_breach_is_found(code: str, source: str) -> None:
    assert codes(source) == [code]


@pytest.mark.parametrize(
    "source",
    [
        "q = 'SELECT score FROM fraud.decision WHERE tenant_id = $1'",
        "q = f'SELECT version FROM {SCHEMA}.model WHERE version = $1'",
        "async def f(pool):\n    async with pool.acquire(timeout=5) as c: pass",
        "async def f(c):\n    async with asyncio.timeout(1):\n        await c.getone()",
        "q = 'SELECT f.* FROM unnest($2::uuid[]) AS a (e) CROSS JOIN LATERAL (SELECT * FROM decision AS d WHERE d.tenant_id = $1 AND d.e = a.e LIMIT 1) AS f'",
        "# weir-lint: allow W004 - a probe reads nothing of ours\nc = dict(enable_auto_commit=True)",
    ],
)
def test_what_keeps_the_rules_is_let_be(source: str) -> None:
    assert codes(source) == []


def test_a_module_that_says_nothing_is_named() -> None:
    assert codes("", "services/fraud/weir_fraud/utils.py") == ["W006"]


def test_the_project_keeps_its_rules() -> None:
    assert list(breaches(ROOT)) == []
