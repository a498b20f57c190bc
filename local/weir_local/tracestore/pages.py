"""What is shown: JSON documents and plain HTML without scripts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from html import escape
from typing import Any

from weir_local.tracestore.spans import Span

NANOS = 1_000_000_000
COLOURS = ("#3d6fb4", "#b4523d", "#3f8f5b", "#8a5bb0", "#b08a2e", "#2f8f98", "#a8487f", "#5d6a7a")
STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:2px 8px;border-bottom:1px solid #e4e7eb;vertical-align:top}
code{font-size:12px;word-break:break-all}.lane{position:relative;width:45%;min-width:20rem}
.bar{position:absolute;top:5px;height:12px;min-width:2px;border-radius:2px}.error{color:#b00020;font-weight:600}
details{color:#4b5563}summary{cursor:pointer}td.time{white-space:nowrap;text-align:right;font-variant-numeric:tabular-nums}
"""


def trace_document(trace_id: str, spans: Sequence[Span]) -> dict[str, Any]:
    """One trace: its spans in order of start, times in Unix nanoseconds and seconds."""
    return {"trace_id": trace_id, "services": _services(spans), "spans": [_span_document(span) for span in spans]}


def summary_document(spans: Sequence[Span]) -> dict[str, Any]:
    """One line of a list of traces. The root is the span without a parent, else the earliest."""
    root = next((span for span in spans if not span.parent_id), spans[0])
    start, end = _bounds(spans)
    return {
        "trace_id": root.trace_id,
        "service": root.service,
        "name": root.name,
        "start": _instant(start),
        "start_ns": start,
        "duration_seconds": (end - start) / NANOS,
        "spans": len(spans),
        "errors": sum(span.status == "ERROR" for span in spans),
        "services": _services(spans),
    }


def list_page(traces: Sequence[Sequence[Span]], services: Sequence[dict[str, Any]]) -> str:
    """The newest traces, and a link per service."""
    links = " · ".join(
        f'<a href="/?service={escape(item["service"], quote=True)}">{escape(item["service"])}</a> ({item["spans"]})'
        for item in services
    )
    rows = []
    for summary in map(summary_document, traces):
        errors = f' <span class="error">{summary["errors"]} failed</span>' if summary["errors"] else ""
        rows.append(
            f'<tr><td>{summary["start"]}</td><td><a href="/traces/{summary["trace_id"]}">{escape(summary["service"])}: '
            f"{escape(summary['name'])}</a>{errors}</td><td class=time>{summary['duration_seconds'] * 1000:.1f} ms</td>"
            f"<td>{summary['spans']}</td><td>{escape(', '.join(summary['services']))}</td></tr>"
        )
    table = "<table><tr><th>start<th>trace<th>duration<th>spans<th>services</tr>" + "".join(rows) + "</table>"
    return _page("Traces", f"<p>{links or 'No span has arrived yet.'}</p>{table if rows else ''}")


def trace_page(trace_id: str, spans: Sequence[Span]) -> str:
    """A waterfall: children under their parents, a bar for each span on the trace's own time axis."""
    start, end = _bounds(spans)
    length = max(end - start, 1)
    colours = {service: COLOURS[index % len(COLOURS)] for index, service in enumerate(_services(spans))}
    rows = []
    for depth, span in _tree(spans):
        left, width = (span.start_ns - start) / length * 100, (span.end_ns - span.start_ns) / length * 100
        failed = (
            f' <span class="error">{escape(span.status_message or "error")}</span>' if span.status == "ERROR" else ""
        )
        rows.append(
            f'<tr><td style="padding-left:{8 + depth * 16}px"><span style="color:{colours[span.service]}">&#9632;</span> '
            f"{escape(span.service)}: <b>{escape(span.name)}</b>{failed}{_attributes(span)}</td>"
            f'<td class="lane"><div class="bar" style="left:{left:.2f}%;width:{min(width, 100 - left):.2f}%;'
            f'background:{colours[span.service]}"></div></td>'
            f'<td class="time">+{(span.start_ns - start) / 1e6:.2f} ms</td><td class="time">{(span.end_ns - span.start_ns) / 1e6:.2f} ms</td></tr>'
        )
    head = (
        f"<p><code>{escape(trace_id)}</code> · {_instant(start)} · {length / 1e6:.1f} ms · {len(spans)} spans of "
        f'{escape(", ".join(_services(spans)))} · <a href="/api/traces/{escape(trace_id)}">JSON</a> · <a href="/">all</a></p>'
    )
    table = "<table><tr><th>span<th>time<th>start<th>duration</tr>" + "".join(rows) + "</table>"
    return _page(f"Trace {trace_id[:8]}", head + table)


def missing_page(trace_id: str) -> str:
    return _page(
        "No such trace",
        f"<p>No span of <code>{escape(trace_id)}</code> has arrived, or it was older than what is kept.</p>",
    )


def _tree(spans: Sequence[Span]) -> list[tuple[int, Span]]:
    """(depth, span) in the order of a reader: a parent, then its children by start. Orphans stand at the left.

    Iterative, and each span once, since what arrives over the network may be as deep or as circular as it likes.
    """
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = defaultdict(list)
    roots: list[Span] = []
    for span in spans:
        (children[span.parent_id] if span.parent_id in known else roots).append(span)
    order: list[tuple[int, Span]] = []
    seen: set[str] = set()
    for start in (*roots, *spans):  # the second part only for spans in a circle, which hang from no root
        stack = [(0, start)]
        while stack:
            depth, span = stack.pop()
            if span.span_id not in seen:
                seen.add(span.span_id)
                order.append((depth, span))
                stack.extend((depth + 1, child) for child in reversed(children[span.span_id]))
    return order


def _span_document(span: Span) -> dict[str, Any]:
    document = asdict(span)
    return document | {
        "start": _instant(span.start_ns),
        "duration_seconds": (span.end_ns - span.start_ns) / NANOS,
        "error": span.status == "ERROR",
    }


def _attributes(span: Span) -> str:
    if not span.attributes and not span.events and not span.links:
        return ""
    lines = [f"{escape(key)} = {escape(str(value))}" for key, value in sorted(span.attributes.items())]
    lines += [f"event {escape(event['name'])} {escape(str(event['attributes']))}" for event in span.events]
    lines += [
        f'link <a href="/traces/{escape(link["trace_id"])}">{escape(link["trace_id"])}</a>' for link in span.links
    ]
    return f"<details><summary>{escape(span.kind.lower())}, {len(span.attributes)} attributes</summary><code>{'<br>'.join(lines)}</code></details>"


def _services(spans: Sequence[Span]) -> list[str]:
    return list(dict.fromkeys(span.service for span in spans))


def _bounds(spans: Sequence[Span]) -> tuple[int, int]:
    return min(span.start_ns for span in spans), max(span.end_ns for span in spans)


def _instant(nanos: int) -> str:
    return datetime.fromtimestamp(nanos / NANOS, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)} · Weir</title><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>"
    )
