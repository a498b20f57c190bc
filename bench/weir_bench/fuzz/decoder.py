"""``make fuzz-decoder``: coverage-guided fuzzing of bodies, CloudEvents, codings and events; writes ``.weir/fuzz/decoder.json``.

``ARGS="--seconds 600"``. The corpus stays in ``.weir/fuzz/corpus``, so a later run goes on where this one ended. An input that breaks
the oracle is kept in ``.weir/fuzz/crashes``; its exit code is then not 0.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from weir_common.events import event_json_schema

from weir_bench.fuzz.oracle import CODINGS, coded

_HERE: Final = Path(__file__).parent
_EXTRA_SECONDS: Final = 120
_SUITE: Final = "json-test-suite/test_parsing/*.json"
_ID: Final = "6f1e2d3c-0a9b-4c8d-9e7f-112233445566"


def seeds() -> Iterator[bytes]:
    """Something valid for each form and coding, so that mutation starts inside the code and not at its first check."""
    full = (_HERE.parent / "event.json").read_bytes()  # weir-lint: allow W001 - inside a function
    small = {
        "schema_version": "2.2",
        "tenant_id": "shop",
        "event_metadata": {"event_id": _ID, "timestamp": "2026-01-15T10:30:00Z", "source_system": "web_app"},
        "event_data": {"event_type": "transaction", "event_subtype": "purchase"},
        "x_more": {"a": [1, 1.50, -0.0, 1e300, "\\u00e9", None, True]},
    }
    oldest = {**small, "schema_version": "2.0"}
    texts = [full, *(msgspec.json.encode(event) for event in (small, oldest))]
    for text in texts:
        yield b"\x80" + text
        cloud = b'{"specversion":"1.0","id":"%s","source":"/s","type":"a.transaction.purchase","data":%s}' % (
            _ID.encode(),
            text,
        )
        for form, body in enumerate((b'{"events":[%s]}' % text, cloud, b"[%s]" % cloud, text + b"\n" + text, text)):
            for number, coding in enumerate(CODINGS):
                yield bytes([0x40 | number << 3 | form]) + body
                yield bytes([number << 3 | form]) + coded(body, coding)


def write_corpus(folder: Path, suite: Path | None) -> None:
    """The seeds, and JSONTestSuite's files if they are here, each as an event's unknown field."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (folder / f"seed-{number:03d}").write_bytes(seed)
    for path in sorted(suite.glob(_SUITE)) if suite is not None else ():
        if path.stat().st_size < 4_096:
            (folder / f"suite-{path.stem}").write_bytes(b"\x80" + b'{"x_more":' + path.read_bytes() + b"}")


def write_dictionary(path: Path) -> None:
    """Names of the contract and what is special in JSON: words that chance would not find."""
    names = {name for part in event_json_schema()["$defs"].values() for name in part.get("properties", {})}
    special = ["1e308", "-0", "NaN", "9223372036854775808", "\\\\ud800", "\\\\u0000", "0001-01-01T00:00:00+14:00"]
    words = [f'\\"{name}\\"' for name in sorted(names)] + special
    path.write_text("".join(f'"{word}"\n' for word in words), "utf-8")


def main() -> int:
    """Run it; 0 when nothing was found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=int, default=600)
    arguments.add_argument("--state", type=Path, default=Path(".weir/fuzz"))
    arguments.add_argument("--suite", type=Path, help="the folder that holds json-test-suite")
    given = arguments.parse_args()
    state: Path = given.state
    crashes = state / "crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    known = set(crashes.iterdir())
    write_corpus(state / "corpus", given.suite)
    write_dictionary(state / "words.dict")
    command = [
        *(sys.executable, "-m", "weir_bench.fuzz.decoder_target", str(state / "corpus")),
        *(f"-max_total_time={given.seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384"),
        *(f"-dict={state / 'words.dict'}", f"-artifact_prefix={crashes}/", "-print_final_stats=1"),
    ]
    started = time.monotonic()
    run = subprocess.run(
        command,
        check=False,
        stderr=subprocess.PIPE,
        timeout=given.seconds + _EXTRA_SECONDS,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    text = run.stderr.decode("utf-8", "replace")
    (state / "decoder.log").write_text(text, "utf-8")
    executed = re.search(r"number_of_executed_units: (\d+)", text)
    coverage = re.findall(r"cov: (\d+) ft: (\d+)", text)
    report = {
        "seconds": round(time.monotonic() - started, 1),
        "inputs": int(executed[1]) if executed else None,
        "edges": int(coverage[-1][0]) if coverage else None,
        "crashes": sorted(path.name for path in set(crashes.iterdir()) - known),
        "exit_code": run.returncode,
    }
    (state / "decoder.json").write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    print(json.dumps(report))
    if run.returncode != 0:
        print("\n".join(text.splitlines()[-40:]), file=sys.stderr)
    return run.returncode


if __name__ == "__main__":
    sys.exit(main())
