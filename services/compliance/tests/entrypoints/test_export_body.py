"""What becomes of an export request's key."""

from __future__ import annotations

from weir_compliance.entrypoints.export_body import ExportBody, SubjectBody, export_command


def kept(key: str | None, tenant: str = "shop-1") -> str | None:
    return export_command(ExportBody(tenant, SubjectBody(user_id="u1")), key).idempotency_key


def test_a_key_is_known_again_and_not_readable() -> None:
    first = kept("ada@example.com")
    assert first is not None
    assert "ada" not in first
    assert first == kept("ada@example.com")
    assert len({first, kept("grace@example.com"), kept("ada@example.com", "shop-2")}) == 3
    assert kept(None) is None
