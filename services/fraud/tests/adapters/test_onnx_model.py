from __future__ import annotations

import re
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import pytest
from weir_fraud.adapters.onnx_model import OnnxModel, load_model, open_model, read_folder
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.model import ModelCard, explanation_fault
from weir_fraud.errors import ExplanationError, ModelMissing, ModelRefused, Refusal


def rows(width: int, count: int = 500) -> list[list[float]]:
    random = np.random.default_rng(11)
    values = random.exponential(3, (count, width))
    values[random.random(values.shape) < 0.3] = np.nan
    return [list(map(float, row)) for row in values]


def test_scores_are_explained_exactly_whatever_is_unknown(model: OnnxModel) -> None:
    scores = model.score(rows(len(model.card.features)))
    assert max(scored.score for scored in scores) - min(scored.score for scored in scores) > 0.5
    for scored in scores:
        assert explanation_fault(scored) is None
        assert scored.base + sum(scored.contributions) == pytest.approx(scored.margin, abs=1e-9)


def test_a_batch_scores_as_its_rows_do(model: OnnxModel) -> None:
    batch = rows(len(model.card.features), 20)
    assert model.score(batch) == [scored for row in batch for scored in model.score([row])]


def test_nothing_known_is_scored_too(model: OnnxModel) -> None:
    (scored,) = model.score([[float("nan")] * len(model.card.features)])
    assert 0 < scored.score < 1


def test_an_explanation_that_does_not_explain_the_score_stops_everything(
    model: OnnxModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OffByALittle:
        def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            (margins,) = model._session.run(names, inputs)
            return [margins + 0.001]

    off = OnnxModel(model.card, OffByALittle(), model._booster)
    with pytest.raises(ExplanationError, match="the score is"):
        off.score(rows(len(model.card.features), 3))


@pytest.fixture
def copy(model_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_dir, tmp_path / "copy"))


def test_without_a_model_the_error_says_how_to_make_one(tmp_path: Path, catalogue: Catalogue) -> None:
    with pytest.raises(ModelMissing, match=r"-m weir_fraud\.training --output "):
        load_model(tmp_path / "nothing", catalogue)


def test_a_file_that_was_changed_is_refused(copy: Path, catalogue: Catalogue) -> None:
    (copy / "model.txt").write_bytes((copy / "model.txt").read_bytes() + b" ")
    with pytest.raises(ModelMissing, match=r"model\.txt is not the file"):
        load_model(copy, catalogue)


def test_a_model_of_other_features_is_refused(copy: Path, catalogue: Catalogue) -> None:
    card = msgspec.json.decode((copy / "model.json").read_bytes(), type=ModelCard)
    (copy / "model.json").write_bytes(
        msgspec.json.encode(msgspec.structs.replace(card, features_fingerprint="another"))
    )
    with pytest.raises(ModelMissing, match="other feature definitions"):
        load_model(copy, catalogue)


def test_a_card_that_cannot_be_read_is_refused(copy: Path, catalogue: Catalogue) -> None:
    (copy / "model.json").write_text("{}")
    with pytest.raises(ModelMissing, match="no model card"):
        load_model(copy, catalogue)


def test_without_the_explanation_the_score_is_the_same_to_the_last_bit(model: OnnxModel) -> None:
    random = np.random.default_rng(5)
    rows = random.exponential(3, (50, len(model.card.features)))
    rows[random.random(rows.shape) < 0.3] = np.nan
    whole = [one for row in rows.tolist() for one in model.score([row])]
    assert [replace(one, contributions=()) for one in whole] == model.unexplained(rows.tolist())


def test_two_forms_that_disagree_are_refused_before_anybody_is_scored(model_dir: Path, catalogue: Catalogue) -> None:
    """Hashes and card are in order: only scoring tells."""
    files = read_folder(model_dir)
    first, _, rest = files["model.txt"].partition(b"leaf_value=")
    values, _, after = rest.partition(b"\n")
    # Of the same length: the file says in front how long each tree is, and LightGBM believes it.
    moved = re.sub(rb"(?<=\.)\d", lambda digit: b"%d" % ((int(digit[0]) + 1) % 10), values)
    files["model.txt"] = first + b"leaf_value=" + moved + b"\n" + after
    card = msgspec.json.decode(files["model.json"], type=ModelCard)
    hashes = card.files | {"model.txt": sha256(files["model.txt"]).hexdigest()}
    files["model.json"] = msgspec.json.encode(msgspec.structs.replace(card, files=hashes))
    with pytest.raises(ModelRefused, match="explanations do not hold") as refused:
        open_model(files, catalogue)
    assert refused.value.reason is Refusal.EXPLANATION


@pytest.mark.parametrize(("name", "content"), [("model.onnx", b"no graph"), ("model.txt", b"tree\xff")])
def test_what_no_runtime_reads_is_refused(model_dir: Path, catalogue: Catalogue, name: str, content: bytes) -> None:
    files = read_folder(model_dir) | {name: content}
    card = msgspec.json.decode(files["model.json"], type=ModelCard)
    hashes = card.files | {name: sha256(content).hexdigest()}
    files["model.json"] = msgspec.json.encode(msgspec.structs.replace(card, files=hashes))
    with pytest.raises(ModelRefused) as refused:
        open_model(files, catalogue)
    assert refused.value.reason is Refusal.UNREADABLE
