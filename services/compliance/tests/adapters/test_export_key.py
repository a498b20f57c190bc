import base64
from pathlib import Path

import pytest
from weir_compliance.adapters.export_key import ExportKey, ExportKeyRing, new_export_key, read_export_keys
from weir_compliance.errors import KeyUnavailableError

OLD, NEW = ExportKey.of(b"o" * 32), ExportKey.of(b"n" * 32)


def test_what_was_sealed_opens_in_its_place_only() -> None:
    ring = ExportKeyRing([NEW])
    sealed = ring.seal("subject", "shop-1", b"request-1", b"planted")
    assert b"planted" not in sealed
    assert ring.open("subject", "shop-1", b"request-1", sealed) == b"planted"
    for place in (
        ("archive-key", "shop-1", b"request-1"),
        ("subject", "shop-2", b"request-1"),
        ("subject", "shop-1", b"r-2"),
    ):
        with pytest.raises(KeyUnavailableError):
            ring.open(*place, sealed)


def test_every_changed_byte_is_refused() -> None:
    ring = ExportKeyRing([NEW])
    sealed = ring.seal("subject", "shop-1", b"", b"planted")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(KeyUnavailableError):
            ring.open("subject", "shop-1", b"", bytes(changed))
    for length in range(len(sealed)):
        with pytest.raises(KeyUnavailableError):
            ring.open("subject", "shop-1", b"", sealed[:length])


def test_a_rotated_key_opens_what_the_old_one_sealed_and_seals_with_the_new_one() -> None:
    sealed = ExportKeyRing([OLD]).seal("subject", "shop-1", b"", b"x")
    ring = ExportKeyRing([NEW, OLD])
    assert ring.open("subject", "shop-1", b"", sealed) == b"x"
    assert ExportKeyRing([NEW]).open("subject", "shop-1", b"", ring.seal("subject", "shop-1", b"", b"y")) == b"y"
    assert ring.index_keys("shop-1") == [
        *ExportKeyRing([NEW]).index_keys("shop-1"),
        *ExportKeyRing([OLD]).index_keys("shop-1"),
    ]
    with pytest.raises(KeyUnavailableError, match="not in the key file"):
        ExportKeyRing([NEW]).open("subject", "shop-1", b"", sealed)


def test_a_tenant_has_its_own_index_key() -> None:
    ring = ExportKeyRing([NEW])
    assert ring.index_keys("shop-1") != ring.index_keys("shop-2")


def test_the_key_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(new_export_key() + "\n" + base64.b64encode(b"o" * 32).decode())
    ring = read_export_keys(path)
    assert ring.open("p", "t", b"", ExportKeyRing([OLD]).seal("p", "t", b"", b"x")) == b"x"


def test_a_key_file_of_raw_bytes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"o" * 32)
    assert read_export_keys(path).index_keys("t") == ExportKeyRing([OLD]).index_keys("t")


@pytest.mark.parametrize("content", ["", "\n", "not base64!", base64.b64encode(b"short").decode(), "\xff"])
def test_a_bad_key_file_is_named_but_not_shown(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(KeyUnavailableError) as caught:
        read_export_keys(path)
    assert not content.strip() or content.strip() not in str(caught.value)


def test_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailableError, match="FileNotFoundError"):
        read_export_keys(tmp_path / "absent")


def test_keys_are_not_printed() -> None:
    assert "nnnn" not in repr(NEW)
    assert "nnnn" not in repr(ExportKeyRing([NEW]))
