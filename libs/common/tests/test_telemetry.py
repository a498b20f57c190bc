"""Which kind of metric an instrument becomes."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import Gauge, Histogram, InMemoryMetricReader
from weir_common.telemetry import LATENCY_BUCKETS_SECONDS, latency_views


def test_histograms_of_seconds_have_our_buckets_and_a_gauge_of_such_a_name_stays_a_gauge() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader], views=latency_views()).get_meter("test")
    meter.create_gauge("weir.consumer.time.lag", unit="s").set(4.5)
    meter.create_histogram("weir.fraud.decision.lag", unit="s").record(4.5)
    meter.create_histogram("weir.fraud.score.duration", unit="s").record(4.5)
    data = reader.get_metrics_data()
    assert data is not None
    found = {metric.name: metric.data for metric in data.resource_metrics[0].scope_metrics[0].metrics}
    lag = found.pop("weir.consumer.time.lag")
    assert isinstance(lag, Gauge)
    assert [point.value for point in lag.data_points] == [4.5]
    assert len(found) == 2
    for histogram in found.values():
        assert isinstance(histogram, Histogram)
        assert tuple(histogram.data_points[0].explicit_bounds) == LATENCY_BUCKETS_SECONDS
