"""Values that were planted, each with the label by which it is spoken of: the value itself is never printed."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

SHORTEST: Final = 6
"""Characters. What is shorter turns up in every store by chance."""

_LABEL: Final = re.compile(r"[!-~]{1,200}")


class PlantedFaultError(ValueError):
    """The file of planted values cannot be used; the text says which line and why, without the value."""


@dataclass(frozen=True, slots=True)
class Planted:
    """One value. ``kind`` is what it stands for (a pointer of the event, a header); ``kept``: whether the mesh stores what
    carries it (an accepted event) or only sees it pass (a refused event, a header)."""

    label: str
    value: str
    kind: str = ""
    kept: bool = True


def read_planted(file: Path) -> list[Planted]:
    """From JSON lines with ``label`` and ``value``, as the planter writes them, or from lines of plain values.

    Raises `PlantedFaultError` for an unreadable, empty or ambiguous file.
    """
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PlantedFaultError(f"{file} cannot be read: {type(error).__name__}") from error
    planted = [_planted(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not planted:
        raise PlantedFaultError(f"{file} has no value in it")
    for what, names in (("label", [one.label for one in planted]), ("value", [one.value for one in planted])):
        if len(set(names)) < len(names):
            raise PlantedFaultError(f"{file} has the same {what} twice: a finding could not be told apart")
    return planted


def write_planted(file: Path, planted: Sequence[Planted]) -> None:
    """As JSON lines, readable by the owner only."""
    draft = file.with_name(f".{file.name}")
    draft.touch(mode=0o600)
    draft.write_text("".join(json.dumps(asdict(one)) + "\n" for one in planted), "utf-8")
    draft.replace(file)


def _planted(number: int, line: str) -> Planted:
    one = _of_json(number, line) if line.lstrip().startswith("{") else Planted(f"line-{number}", line.strip())
    if len(one.value) < SHORTEST:
        raise PlantedFaultError(f"line {number}: a value of fewer than {SHORTEST} characters is found by chance")
    if not _LABEL.fullmatch(one.label):
        raise PlantedFaultError(f"line {number}: a label is 1 to 200 visible ASCII characters")
    return one


def _of_json(number: int, line: str) -> Planted:
    try:
        document = json.loads(line)
    except json.JSONDecodeError as error:
        raise PlantedFaultError(f"line {number} is no JSON object (column {error.colno})") from error
    label, value, kind = document.get("label"), document.get("value"), document.get("kind", "")
    if not isinstance(label, str) or not isinstance(value, str) or not isinstance(kind, str):
        raise PlantedFaultError(f"line {number} needs the strings label and value")
    return Planted(label, value, kind, document.get("kept") is not False)
