"""``python -m weir_local.lint``: the project's own rules, as far as a machine can hold them. Prints each breach with its place.

W001  nothing happens at import: no I/O, no environment, no clients at module level
W002  a statement on a tenant's table names tenant_id
W003  an await on a socket has a deadline: no unbounded ``connect``, ``acquire``, ``getone``, ``recv``
W004  no auto-commit of offsets
W005  CancelledError is never swallowed
W006  no module called utils, helpers, manager, misc or base
W007  the environment is read in settings only
W008  rows of a tenant's table that a list of keys names are looked up one by one: CROSS JOIN LATERAL (… LIMIT 1)
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOTS = ("libs/common/weir_common", "services", "gateway/weir_gateway", "local/weir_local", "bench/weir_bench")
BANNED_NAMES = frozenset({"utils", "util", "helpers", "helper", "manager", "managers", "misc", "base"})
CLIENTS = frozenset(
    {
        *(
            "AIOKafkaProducer",
            "AIOKafkaConsumer",
            "AIOKafkaAdminClient",
            "Redis",
            "InferenceSession",
            "FastAPI",
            "AsyncClient",
        ),
        *("create_pool", "connect", "insecure_channel", "secure_channel", "open", "read_text", "read_bytes", "getenv"),
    }
)
UNBOUNDED = frozenset({"getone", "recv", "wait_closed"})
ENVIRONMENT_FREE = (
    "settings",
    "cli",
    "testrun",
    "telemetry",
    "processes",
    "launcher",
    "jars",
    "privileges",
    "training",
    "conftest",
)
_STATEMENT = re.compile(r"\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b", re.IGNORECASE)
_TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+(?:\{[^}]*\}\.|\"?[a-z_]+\"?\.)?\"?([a-z_]+)\"?", re.IGNORECASE)
_JOINED_LIST = re.compile(r"(?<!CROSS )JOIN\s+unnest\(|\bIN\s*\(\s*SELECT\b[^()]*\bFROM\s+unnest\(", re.IGNORECASE)
_CREATE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)\s*\((.*?)\n\)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, order=True)
class Breach:
    """Where and what."""

    path: str
    line: int
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.code} {self.text}"


def tenant_tables(root: Path) -> frozenset[str]:
    """Tables with a ``tenant_id`` column, by the migrations."""
    found: set[str] = set()
    for path in (
        *root.glob("services/*/weir_*/migrations/*.sql"),
        *root.glob("libs/common/weir_common/*/migrations/*.sql"),
    ):
        for name, body in _CREATE.findall(path.read_text("utf-8")):
            if re.search(r"^\s*tenant_id\s", body, re.MULTILINE):
                found.add(name.lower())
    return frozenset(found)


def breaches(root: Path) -> Iterator[Breach]:
    """Everything that is wrong below ``root``."""
    tables = tenant_tables(root)
    for top in ROOTS:
        for path in sorted((root / top).rglob("*.py")):
            relative = path.relative_to(root)
            if "tests" in relative.parts:
                continue
            yield from check_file(str(relative), path.read_text("utf-8"), tables)


def check_file(path: str, source: str, tables: frozenset[str]) -> Iterator[Breach]:
    """The breaches of one file."""
    stem = Path(path).stem
    if stem in BANNED_NAMES:
        yield Breach(path, 1, "W006", f"a module called '{stem}' says nothing: name it by what it does")
    tree = ast.parse(source, path)
    allowed = {
        (number, code)
        for number, line in enumerate(source.splitlines(), 1)
        for code in re.findall(r"weir-lint: allow (W\d+) - \S", line)
    }
    for breach in _breaches_of(path, tree, stem, tables):
        # The remark stands on the line itself or within the two lines above.
        if not any((line, breach.code) in allowed for line in range(breach.line - 2, breach.line + 1)):
            yield breach


def _breaches_of(path: str, tree: ast.Module, stem: str, tables: frozenset[str]) -> Iterator[Breach]:
    yield from _imports_do_nothing(path, tree)
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attribute)) if attribute == "acquire" and not _keyword(
                node, "timeout"
            ):
                if not node.args and _looks_like_pool(node):
                    yield Breach(path, node.lineno, "W003", "pool.acquire() without timeout=")
            case ast.Await(value=ast.Call(func=ast.Attribute(attr=attribute))) if (
                attribute in UNBOUNDED and not _inside_timeout(tree, node)
            ):
                yield Breach(path, node.lineno, "W003", f"await …{attribute}() outside of asyncio.timeout")
            case ast.keyword(arg="enable_auto_commit", value=ast.Constant(value=True)):
                yield Breach(path, node.value.lineno, "W004", "enable_auto_commit=True loses events")
            case ast.ExceptHandler():
                yield from _swallows_cancellation(path, node)
            case ast.Attribute(value=ast.Name(id="os"), attr="environ") if (
                not stem.startswith(ENVIRONMENT_FREE)
                and not path.startswith(("local/", "bench/"))
                and "/training/" not in path
            ):
                yield Breach(path, node.lineno, "W007", "the environment is read in settings only")
            case ast.Constant(value=str(text)) if _STATEMENT.search(text):
                yield from _names_tenant(path, node, text, tables)
                yield from _looks_up_by_key(path, node, text, tables)
            case ast.JoinedStr():
                # What stands for a formatted value is a name: most are schemas.
                text = "".join(
                    part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "x"
                    for part in node.values
                )
                yield from _names_tenant(path, node, text, tables)
                yield from _looks_up_by_key(path, node, text, tables)
            case _:
                continue


def _imports_do_nothing(path: str, tree: ast.Module) -> Iterator[Breach]:
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.If):
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Lambda):
                break
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if name in CLIENTS:
                    yield Breach(path, node.lineno, "W001", f"'{name}(…)' runs at import")


def _names_tenant(path: str, node: ast.expr, text: str, tables: frozenset[str]) -> Iterator[Breach]:
    if not _STATEMENT.search(text) or "tenant_id" in text or ("$1" not in text and " WHERE " not in text.upper()):
        return
    touched = {name.lower() for name in _TABLE.findall(text)} & tables
    if touched:
        yield Breach(path, node.lineno, "W002", f"a statement on {', '.join(sorted(touched))} without tenant_id")


def _looks_up_by_key(path: str, node: ast.expr, text: str, tables: frozenset[str]) -> Iterator[Breach]:
    """Joined with a list, the planner may read all of the tenant's rows, as it does with a plan that was made for an empty table."""
    touched = {name.lower() for name in _TABLE.findall(text)} & tables
    if touched and _JOINED_LIST.search(text):
        yield Breach(path, node.lineno, "W008", f"joins {', '.join(sorted(touched))} with a list of keys")


def _swallows_cancellation(path: str, handler: ast.ExceptHandler) -> Iterator[Breach]:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.attr if isinstance(kind, ast.Attribute) else getattr(kind, "id", "") for kind in kinds}
    if handler.type is None or names & {"CancelledError", "BaseException"}:
        raises = any(isinstance(node, ast.Raise) for node in ast.walk(handler))
        hands_on = any(isinstance(node, ast.Assign | ast.Return) for node in ast.walk(handler))
        if not raises and not hands_on:
            yield Breach(path, handler.lineno, "W005", "catches cancellation and does not pass it on")


def _keyword(call: ast.Call, name: str) -> bool:
    return any(keyword.arg == name for keyword in call.keywords)


def _looks_like_pool(call: ast.Call) -> bool:
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return "pool" in name


def _inside_timeout(tree: ast.Module, wanted: ast.AST) -> bool:
    for node in ast.walk(tree):
        bounded = isinstance(node, ast.AsyncWith) and any(
            isinstance(item.context_expr, ast.Call)
            and isinstance(item.context_expr.func, ast.Attribute)
            and item.context_expr.func.attr in ("timeout", "timeout_at")
            for item in node.items
        )
        if bounded and any(child is wanted for child in ast.walk(node)):
            return True
    return False


def main() -> int:
    """Print the breaches; 1 if there is any."""
    found = sorted(set(breaches(Path.cwd())))
    for breach in found:
        print(breach)
    if found:
        print(f"{len(found)} breaches of the project's own rules (local/weir_local/lint.py says what each means)")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
