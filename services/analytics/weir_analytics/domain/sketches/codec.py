"""Which sketch some stored bytes are."""

from __future__ import annotations

from weir_analytics.domain.sketches.distinct_count import DistinctCount
from weir_analytics.domain.sketches.log_histogram import LogHistogram

Sketch = DistinctCount | LogHistogram


def decode_sketch(data: bytes) -> Sketch:
    """The kinds begin with different bytes: a histogram is a msgpack list (0x90–0x9f, 0xdc, 0xdd)."""
    return DistinctCount.decode(data) if data[:1] in (b"e", b"r") else LogHistogram.decode(data)
