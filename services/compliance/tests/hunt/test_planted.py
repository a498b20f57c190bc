"""The file of planted values."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from weir_compliance.hunt.planted import Planted, PlantedFaultError, read_planted, write_planted


def test_what_is_written_is_read_and_is_nobody_elses(tmp_path: Path) -> None:
    planted = [Planted("a#1", "ada@example.com", "/user_id"), Planted("b#1", "müller-7", "header:referer", kept=False)]
    file = tmp_path / "planted.jsonl"
    write_planted(file, planted)
    assert read_planted(file) == planted
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_plain_lines_are_labelled_by_their_number(tmp_path: Path) -> None:
    file = tmp_path / "values"
    file.write_text("ada@example.com\n\n  4111111111111111 \n")
    assert read_planted(file) == [Planted("line-1", "ada@example.com"), Planted("line-3", "4111111111111111")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no value"),
        ("short\n", "line 1: a value of fewer than 6 characters"),
        ("secret-value\nsecret-value\n", "same value twice"),
        ('{"label": "a", "value": "secret-value"}\n{"label": "a", "value": "secret-other"}\n', "same label twice"),
        ('{"label": "a b", "value": "secret-value"}\n', "line 1: a label"),
        ('{"label": "a", "value": 123456}\n', "line 1 needs the strings"),
        ('{"label": "a", "value": "secret\n', "line 1 is no JSON object"),
    ],
)
def test_an_unusable_file_is_refused_without_saying_a_value(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "values"
    file.write_text(text)
    with pytest.raises(PlantedFaultError, match=says) as refused:
        read_planted(file)
    assert "secret" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlantedFaultError, match="cannot be read"):
        read_planted(tmp_path / "nothing")
