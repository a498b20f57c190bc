"""A replay set on disk: `set.json` (decisions and policies), `expected.jsonl` (what they must give, byte for byte) and the models as text.

The ONNX form of a model is no text. It is made from the trees when the set is read, as it was made when the model was trained.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Final

import lightgbm
import msgspec
from weir_common.ids import EventId, SubjectId, TenantId

from weir_fraud.adapters.onnx_model import CARD
from weir_fraud.domain.catalogue import Catalogue
from weir_fraud.domain.contributions import explained
from weir_fraud.domain.decision import Decision, Source
from weir_fraud.domain.degradation import Degraded
from weir_fraud.domain.model import ModelCard, Thresholds
from weir_fraud.domain.outcome import Outcome
from weir_fraud.domain.payment import PaymentKind
from weir_fraud.domain.policy import Policy
from weir_fraud.training.onnx_form import onnx_form

TREES: Final = "model.txt"
ONNX: Final = "model.onnx"


class KeptDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision as the store keeps it (`adapters/postgres_decisions.py`), under the name of what it shows."""

    shows: str
    tenant_id: TenantId
    event_id: EventId
    transaction_id: str
    kind: PaymentKind
    subject: SubjectId
    user_id: str | None
    anonymous_id: str | None
    amount: Decimal | None
    currency: str | None
    event_timestamp: datetime
    decided_at: datetime
    outcome: Outcome
    score: float
    margin: float
    base_value: float
    feature_values: tuple[float | None, ...]
    """None: not known, which JSON has no number for."""
    contributions: tuple[float, ...]
    """Empty while the explanation is deferred."""
    reason_codes: tuple[str, ...]
    model_version: str
    source: Source
    latency_microseconds: int
    histories: tuple[str, ...]
    """In base64."""
    policy_version: int
    thresholds: Thresholds
    model_outcome: Outcome
    policy_rule: str | None
    policy_errors: tuple[str, ...]
    country: str | None
    billing_country: str | None
    shipping_country: str | None
    declined: bool | None
    degraded: tuple[Degraded, ...]
    least_outcome: Outcome
    declines_halted: bool


class ReplaySetDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`set.json`."""

    seed: int
    libraries: dict[str, str]
    """With which it was made; to tell what may have changed, if it is made again and differs."""
    policies: dict[int, Policy]
    """By version."""
    decisions: tuple[KeptDecision, ...]


@dataclass(frozen=True)
class ReplaySet:
    """As it is read: whole models, and of each decision the bytes that it must give."""

    document: ReplaySetDocument
    expected: tuple[bytes, ...]
    models: Mapping[str, Mapping[str, bytes]]
    """By version: the files of a model folder."""


def kept(shows: str, decision: Decision) -> KeptDecision:
    """The form on disk."""
    return KeptDecision(
        shows=shows,
        tenant_id=decision.tenant_id,
        event_id=decision.event_id,
        transaction_id=decision.transaction_id,
        kind=decision.kind,
        subject=decision.subject,
        user_id=decision.user_id,
        anonymous_id=decision.anonymous_id,
        amount=decision.amount,
        currency=decision.currency,
        event_timestamp=decision.event_timestamp,
        decided_at=decision.decided_at,
        outcome=decision.outcome,
        score=decision.score,
        margin=decision.margin,
        base_value=decision.base,
        feature_values=tuple(None if math.isnan(part.value) else part.value for part in decision.contributions),
        contributions=tuple(part.contribution for part in decision.contributions) if decision.is_explained else (),
        reason_codes=decision.reason_codes,
        model_version=decision.model_version,
        source=decision.source,
        latency_microseconds=decision.latency // timedelta(microseconds=1),
        histories=tuple(b64encode(digest).decode() for digest in decision.histories),
        policy_version=decision.policy_version,
        thresholds=decision.thresholds,
        model_outcome=decision.model_outcome,
        policy_rule=decision.policy_rule,
        policy_errors=decision.policy_errors,
        country=decision.country,
        billing_country=decision.billing_country,
        shipping_country=decision.shipping_country,
        declined=decision.declined,
        degraded=decision.degraded,
        least_outcome=decision.least_outcome,
        declines_halted=decision.declines_halted,
    )


def decision_of(one: KeptDecision, card: ModelCard, catalogue: Catalogue) -> Decision:
    """The decision, as the store would give it. `card`: of its model."""
    values = [math.nan if value is None else value for value in one.feature_values]
    return Decision(
        tenant_id=one.tenant_id,
        event_id=one.event_id,
        transaction_id=one.transaction_id,
        kind=one.kind,
        subject=one.subject,
        user_id=one.user_id,
        anonymous_id=one.anonymous_id,
        amount=one.amount,
        currency=one.currency,
        event_timestamp=one.event_timestamp,
        decided_at=one.decided_at,
        outcome=one.outcome,
        score=one.score,
        margin=one.margin,
        base=one.base_value,
        contributions=explained(catalogue, card.features, values, one.contributions),
        model_version=one.model_version,
        thresholds=one.thresholds,
        source=one.source,
        latency=timedelta(microseconds=one.latency_microseconds),
        histories=tuple(b64decode(digest) for digest in one.histories),
        policy_version=one.policy_version,
        model_outcome=one.model_outcome,
        policy_rule=one.policy_rule,
        policy_errors=one.policy_errors,
        country=one.country,
        billing_country=one.billing_country,
        shipping_country=one.shipping_country,
        declined=one.declined,
        degraded=one.degraded,
        least_outcome=one.least_outcome,
        is_explained=bool(one.contributions),
        declines_halted=one.declines_halted,
        announced_codes=one.reason_codes,
    )


def write(folder: Path, document: ReplaySetDocument, expected: list[bytes], models: Mapping[str, Mapping[str, bytes]]) -> None:  # fmt: skip
    """Into a folder that is not there yet. `FileExistsError` if it is: what was decided is not decided anew."""
    folder.mkdir(parents=True)
    (folder / "set.json").write_bytes(msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n")
    (folder / "expected.jsonl").write_bytes(b"".join(line + b"\n" for line in expected))
    for version, files in models.items():
        (folder / version).mkdir()
        (folder / version / CARD).write_bytes(msgspec.json.format(files[CARD], indent=1) + b"\n")
        (folder / version / TREES).write_bytes(files[TREES])


def read(folder: Path) -> ReplaySet:
    """The set of a folder. `OSError` and `msgspec.DecodeError` if it is not whole."""
    document = msgspec.json.decode((folder / "set.json").read_bytes(), type=ReplaySetDocument)
    expected = tuple((folder / "expected.jsonl").read_bytes().splitlines())
    versions = sorted({one.model_version for one in document.decisions})
    return ReplaySet(document, expected, {version: _model_files(folder / version) for version in versions})


def _model_files(folder: Path) -> dict[str, bytes]:
    """With the ONNX form, and its hash on the card: another release of the library may write the same trees in other bytes."""
    card = msgspec.json.decode((folder / CARD).read_bytes(), type=ModelCard)
    trees = (folder / TREES).read_bytes()
    made = onnx_form(lightgbm.Booster(model_str=trees.decode()))
    card = msgspec.structs.replace(card, files=card.files | {ONNX: sha256(made).hexdigest()})
    return {CARD: msgspec.json.encode(card), TREES: trees, ONNX: made}
