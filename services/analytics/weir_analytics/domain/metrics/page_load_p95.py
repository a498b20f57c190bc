"""page_load_p95: how long the slowest twentieth of page loads took."""

from __future__ import annotations

from collections.abc import Iterator

from weir_common.consent import Purpose

from weir_analytics.domain.facts import PageLoaded
from weir_analytics.domain.metric import Additivity, Example, Metric, Observation, Quantile
from weir_analytics.domain.sketches.log_histogram import bucket_of, representative


def measure(page: PageLoaded) -> Iterator[Observation]:
    yield Observation((), page.largest_contentful_paint)


METRIC = Metric(
    name="page_load_p95",
    title="Page load, 95th percentile",
    additivity=Additivity.QUANTILE,
    purpose=Purpose.BEHAVIOUR,
    unit="milliseconds",
    source="weir.ingest.events.v2",
    where="events with page_load_metrics.largest_contentful_paint",
    value="largest_contentful_paint; 95th percentile by nearest rank, within 1 %",
    description="95 of 100 pages showed their main content within this time.",
    follows="Web Vitals' LCP. Google judges pages by the 75th percentile: compare with that under its own name only.",
    trap="The percentile of percentiles is wrong: histograms are merged, then read.",
    fact=PageLoaded,
    measure=measure,
    example=Example(
        facts=(*(PageLoaded(n, 800.0) for n in range(19)), PageLoaded(19, 4000.0)),
        figures={(): Quantile(representative(bucket_of(800.0)), 20)},
    ),
    quantile=0.95,
)
