"""The metric catalogue: one file a metric, named by it. `weir_analytics.domain.catalogue` finds them."""
