"""Decisions of earlier releases, as they are committed, are decided again to the last bit; and what is not as it was is found, by name.

If this fails after a change that is meant (of the bytes of a replay, of a runtime, of what decides):

- Do not write a committed set anew, and do not change its files. They are the past: production holds decisions like them, which auditors replay.
- Change the code so that it still makes the old decisions as they were (as `PolicyVersion` 0, absent `degraded` and absent thresholds are read),
  beside what it makes of new ones.
- Then add what decisions are like from now on as the next version: `make replay-set`, and commit the folder beside the others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path

import lightgbm
import msgspec
import numpy as np
import pytest
from weir_fraud.adapters.cel_conditions import CelConditions
from weir_fraud.adapters.memory_models import MemoryModels
from weir_fraud.adapters.model_folder import ModelFolder
from weir_fraud.adapters.object_files import open_object_files
from weir_fraud.adapters.onnx_model import CARD, open_model
from weir_fraud.adapters.past_model import open_past_model
from weir_fraud.adapters.registered_models import RegisteredModels
from weir_fraud.domain.catalogue import Catalogue, catalogue_of
from weir_fraud.domain.degradation import Degraded
from weir_fraud.domain.model import ModelCard
from weir_fraud.domain.outcome import Outcome
from weir_fraud.errors import ModelRefused, ModelVersionMissing, Refusal
from weir_fraud.load_models import LoadModel, PublishModel
from weir_fraud.replay_set.__main__ import main
from weir_fraud.replay_set.check import faults
from weir_fraud.replay_set.document import ONNX, TREES, KeptDecision, ReplaySet, read
from weir_fraud.replay_set.make import make_set

SETS = Path(__file__).parent / "replay_sets"
FOLDERS = sorted(SETS.iterdir(), key=lambda folder: int(folder.name.removeprefix("v")))
NOON = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
MAX_BYTES = 300_000
"""Of all sets: they are text, and every clone has them."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
async def test_a_committed_set_is_decided_again(folder: Path, catalogue: Catalogue, conditions: CelConditions) -> None:
    found = await faults(read(folder), catalogue, conditions)
    told = "\n".join(f"{shows}: {fault}" for shows, several in found.items() for fault in several)
    assert not found, f"decisions of {folder} are not made again as they were:\n{told}\n\n{__doc__}"


def test_the_sets_are_numbered_and_small() -> None:
    assert [folder.name for folder in FOLDERS] == [f"v{number}" for number in range(1, len(FOLDERS) + 1)]
    files = [file for folder in FOLDERS for file in folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < MAX_BYTES
    for file in files:
        assert "\0" not in file.read_text("utf-8"), f"{file} is no text"


def test_the_newest_set_has_every_kind_of_decision() -> None:
    """Or the comparison would show little."""
    decisions = read(FOLDERS[-1]).document.decisions
    assert len({one.shows for one in decisions}) == len(decisions)
    assert {(one.outcome, one.policy_rule) for one in decisions} >= {
        *((outcome, None) for outcome in Outcome),
        (Outcome.DECLINE, "deny:device"),
        (Outcome.DECLINE, "deny:country"),
        (Outcome.APPROVE, "allow:user"),
        (Outcome.DECLINE, "large-and-new"),
        (Outcome.APPROVE, "gift"),
    }
    degraded = {one.degraded for one in decisions}
    assert degraded >= {
        (),
        (Degraded.FEATURES_UNAVAILABLE,),
        (Degraded.MODEL_FALLBACK,),
        (Degraded.EXPLANATION_DEFERRED,),
        (Degraded.MODEL_FALLBACK, Degraded.EXPLANATION_DEFERRED),
    }
    deferred = [one for one in decisions if Degraded.EXPLANATION_DEFERRED in one.degraded]
    assert {bool(one.contributions) for one in deferred} == {True, False}
    assert {one.policy_rule for one in decisions if one.declines_halted} == {None, "large-and-new"}
    assert any(one.policy_errors for one in decisions)
    assert {one.policy_version for one in decisions} == {0, 1, 2}
    assert len({one.model_version for one in decisions}) == 3
    assert any(one.amount is None and None in one.feature_values for one in decisions)


def changed(whole: ReplaySet, shows: str, change: Callable[[KeptDecision], KeptDecision]) -> ReplaySet:
    decisions = tuple(change(one) if one.shows == shows else one for one in whole.document.decisions)
    assert decisions != whole.document.decisions
    return ReplaySet(msgspec.structs.replace(whole.document, decisions=decisions), whole.expected, whole.models)


def with_first_value(one: KeptDecision, value: float | None) -> KeptDecision:
    return msgspec.structs.replace(one, feature_values=(value, *one.feature_values[1:]))


@pytest.mark.parametrize(
    ("change", "pointers"),
    [
        # An account of one day instead of months; and one of which it is not known.
        (lambda one: with_first_value(one, 1.0), {"/score", "/margin", "/contributions/account_age_days"}),
        (lambda one: with_first_value(one, None), {"/contributions/account_age_days"}),
        (lambda one: msgspec.structs.replace(one, score=math.nextafter(one.score, 1)), {"/score"}),
        (lambda one: msgspec.structs.replace(one, outcome=Outcome.DECLINE), {"/outcome"}),
        (lambda one: msgspec.structs.replace(one, reason_codes=("CART",)), {"/reason_codes"}),
        (lambda one: msgspec.structs.replace(one, declines_halted=True), set()),
        (lambda one: msgspec.structs.replace(one, degraded=(Degraded.MODEL_FALLBACK,)), set()),
    ],
)
async def test_one_changed_value_of_a_decision_is_found_by_name(
    catalogue: Catalogue,
    conditions: CelConditions,
    change: Callable[[KeptDecision], KeptDecision],
    pointers: set[str],
) -> None:
    """Also where the changed decision is made again as it says: then its bytes are not the expected ones."""
    shows = "approve by score"
    found = await faults(changed(read(FOLDERS[-1]), shows, change), catalogue, conditions)
    assert list(found) == [shows]
    told = {fault.partition(":")[0] for fault in found[shows] if fault.startswith("/")}
    assert told >= pointers
    assert any("as stored is not what is expected" in fault for fault in found[shows])


def with_files(whole: ReplaySet, version: str, files: dict[str, bytes]) -> ReplaySet:
    return ReplaySet(whole.document, whole.expected, {**whole.models, version: {**whole.models[version], **files}})


async def test_one_changed_leaf_of_a_model_is_found_in_the_decisions_that_it_made(
    catalogue: Catalogue, conditions: CelConditions, tmp_path: Path
) -> None:
    folder = FOLDERS[-1]
    version = next(one.model_version for one in read(folder).document.decisions if one.shows == "approve by score")
    for file in folder.rglob("*"):
        if file.is_file():
            (tmp_path / file.relative_to(folder)).parent.mkdir(exist_ok=True)
            (tmp_path / file.relative_to(folder)).write_bytes(file.read_bytes())
    trees = tmp_path / version / TREES
    text = trees.read_text()
    # One digit in each leaf of the first tree: the text keeps its length, which its head tells.
    values = re.search(r"^leaf_value=(.*)$", text, re.MULTILINE)
    assert values is not None
    other = re.sub(r"\.(\d)", lambda found: f".{(int(found.group(1)) + 1) % 10}", values.group(0))
    trees.write_text(text.replace(values.group(0), other, 1))
    refused = await faults(read(tmp_path), catalogue, conditions)
    assert all("model.txt is not the file that the model card describes" in fault for (fault,) in refused.values())
    card = msgspec.json.decode((tmp_path / version / CARD).read_bytes(), type=ModelCard)
    card.files[TREES] = sha256(trees.read_bytes()).hexdigest()
    (tmp_path / version / CARD).write_bytes(msgspec.json.encode(card))
    found = await faults(read(tmp_path), catalogue, conditions)
    by_it = {one.shows for one in read(folder).document.decisions if one.model_version == version}
    assert set(found) == set(refused) == by_it
    assert all(any(fault.startswith("/margin: ") for fault in several) for several in found.values())


async def test_a_changed_policy_or_expectation_is_found(catalogue: Catalogue, conditions: CelConditions) -> None:
    whole = read(FOLDERS[-1])
    first = whole.document.policies[1]
    other = msgspec.structs.replace(whole.document, policies=whole.document.policies | {1: msgspec.structs.replace(first, rules=())})  # fmt: skip
    found = await faults(ReplaySet(other, whole.expected, whole.models), catalogue, conditions)
    assert {"decline by a rule", "approve by a rule"} <= set(found)
    assert "decline by deny list, of a device" not in found
    digits = [whole.expected[0].replace(b"e", b"E", 1), *whole.expected[1:]]
    found = await faults(ReplaySet(whole.document, tuple(digits), whole.models), catalogue, conditions)
    assert list(found) == [whole.document.decisions[0].shows]
    found = await faults(ReplaySet(whole.document, whole.expected[:-1], whole.models), catalogue, conditions)
    assert list(found) == ["the set"]


async def test_a_set_is_made_by_its_seed(
    catalogue: Catalogue, conditions: CelConditions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = await make_set(tmp_path / "v1")
    other = await make_set(tmp_path / "v2")
    assert one == other
    assert (tmp_path / "v1" / "expected.jsonl").read_bytes() == (tmp_path / "v2" / "expected.jsonl").read_bytes()
    whole = read(tmp_path / "v1")
    assert whole.document == one
    assert await faults(whole, catalogue, conditions) == {}
    with pytest.raises(FileExistsError):
        await make_set(tmp_path / "v1")


def test_the_command_leaves_a_set_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert "is not decided anew" in capsys.readouterr().err
    assert main([]) == 2


def test_a_model_of_the_past_answers_whatever_features_are_defined_now(catalogue: Catalogue) -> None:
    files = next(iter(read(FOLDERS[0]).models.values()))
    card = msgspec.json.decode(files[CARD], type=ModelCard)
    # Of other definitions, and one of its features is no longer there.
    old = {**files, CARD: msgspec.json.encode(msgspec.structs.replace(card, features_fingerprint="0" * 64))}
    fewer = catalogue_of(feature for name, feature in catalogue.features.items() if name != card.features[0])
    with pytest.raises(ModelRefused) as refused:
        open_model(old, catalogue)
    assert refused.value.reason is Refusal.FEATURES
    vectors = [[1.0] * len(card.features), [math.nan] * len(card.features)]
    assert open_past_model(old, fewer).score(vectors) == open_past_model(files, catalogue).score(vectors)
    with pytest.raises(ModelRefused):
        open_past_model({**old, TREES: files[TREES] + b"\n"}, fewer)
    with pytest.raises(ModelRefused):
        open_past_model({**old, CARD: b"{}"}, fewer)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_both_forms_of_a_committed_model_agree(folder: Path, catalogue: Catalogue) -> None:
    for files in read(folder).models.values():
        model = open_past_model(files, catalogue)
        random = np.random.default_rng(5)
        rows = random.exponential(30, (500, len(model.card.features))).astype(np.float32).astype(np.float64)
        rows[random.random(rows.shape) < 0.2] = np.nan
        margins = lightgbm.Booster(model_str=files[TREES].decode()).predict(rows, raw_score=True)
        assert ONNX in files
        assert np.abs(1 / (1 + np.exp(-np.asarray(margins))) - np.array(model.scores(rows.tolist()))).max() <= 1e-6


async def test_the_registry_gives_models_of_earlier_releases_to_a_replay(
    catalogue: Catalogue, conditions: CelConditions, tmp_path: Path
) -> None:
    """As `weir fraud replay` finds them: no longer in the service's folder, and trained on features as they were."""
    whole = read(FOLDERS[0])
    registry = MemoryModels()
    store = open_object_files(tmp_path.as_uri())
    for files in whole.models.values():
        card = msgspec.structs.replace(msgspec.json.decode(files[CARD], type=ModelCard), features_fingerprint="0" * 64)
        await PublishModel(store, registry, lambda: NOON)(card, {**files, CARD: msgspec.json.encode(card)})
    load = LoadModel(store, partial(open_past_model, catalogue=catalogue))
    versions = RegisteredModels(ModelFolder(tmp_path / "none", catalogue), registry, load)
    for version, files in whole.models.items():
        model = await versions.get(version)
        width = len(model.card.features)
        assert model.score([[1.0] * width]) == open_past_model(files, catalogue).score([[1.0] * width])
    strict = LoadModel(store, partial(open_model, catalogue=catalogue))
    with pytest.raises(ModelVersionMissing, match="other feature definitions"):
        await RegisteredModels(ModelFolder(tmp_path / "none", catalogue), registry, strict).get(
            next(iter(whole.models))
        )
