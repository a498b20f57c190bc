"""``python -m weir_tenant_admin``: read settings, build, run until SIGTERM."""

from weir_common.service import run

from weir_tenant_admin.bootstrap import build
from weir_tenant_admin.settings import Settings

if __name__ == "__main__":
    run("tenant-admin", Settings(), build)
