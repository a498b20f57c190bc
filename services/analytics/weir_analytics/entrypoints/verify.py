"""``python -m weir_analytics.entrypoints.verify``: does a tenant's dashboard equal what the archive says?

Prints one JSON object and ends with 1 if any figure differs. Settings come from the environment, as for the service.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from weir_common.ids import TenantId
from weir_common.postgres import postgres_pool

from weir_analytics.adapters.iceberg_archive import IcebergArchiveReader, open_catalogue
from weir_analytics.adapters.postgres_rollups import PostgresRollups
from weir_analytics.domain.catalogue import load_catalogue
from weir_analytics.entrypoints.documents import figures_document
from weir_analytics.read_dashboard import ReadDashboard
from weir_analytics.recompute_dashboard import RecomputeDashboard
from weir_analytics.settings import AnalyticsSettings


async def verify(settings: AnalyticsSettings, tenant_id: TenantId, start: datetime, end: datetime) -> list[str]:
    """Print both sides; gives the names of the metrics that differ."""
    catalogue = load_catalogue()
    lake = await asyncio.to_thread(
        open_catalogue, settings.lake.catalog_dsn.get_secret_value(), settings.lake.warehouse_uri
    )
    try:
        async with postgres_pool(settings.postgres, "analytics-verify") as pool:
            dashboard = await ReadDashboard(catalogue, PostgresRollups(pool, catalogue))(tenant_id, start, end)
        whole = (datetime.fromtimestamp(at, UTC) for at in (dashboard.window.start, dashboard.window.end))
        archived = await asyncio.to_thread(RecomputeDashboard(IcebergArchiveReader(lake)), tenant_id, *whole)
    finally:
        lake.engine.dispose()
    differing = [name for name, figures in dashboard.figures.items() if figures != archived[name]]
    document = {
        "tenant_id": tenant_id,
        "from": datetime.fromtimestamp(dashboard.window.start, UTC),
        "to": datetime.fromtimestamp(dashboard.window.end, UTC),
        "equal": not differing,
        "differing": differing,
        "metrics": {
            metric.name: {
                "dashboard": figures_document(metric, dashboard.figures[metric.name]),
                "archive": figures_document(metric, archived[metric.name]),
            }
            for metric in catalogue
        },
    }
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    return differing


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every figure is equal."""
    parser = argparse.ArgumentParser(description="Compare a tenant's dashboard with its archive.")
    parser.add_argument("--tenant", required=True, type=TenantId)
    parser.add_argument("--from", dest="start", type=_time, help="RFC 3339; default 24 hours before --to")
    parser.add_argument("--to", dest="end", type=_time, default=datetime.now(UTC), help="RFC 3339; default now")
    given = parser.parse_args(arguments)
    start = given.start or given.end - timedelta(hours=24)
    return 1 if asyncio.run(verify(AnalyticsSettings(), given.tenant, start, given.end)) else 0


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise argparse.ArgumentTypeError("give an offset, e.g. 2026-11-25T10:30:00Z")
    return time


if __name__ == "__main__":
    sys.exit(main())
