"""The sender's own models: vectors and scores."""

from __future__ import annotations

from typing import Annotated

from weir_common.events.part import Part
from weir_common.events.privacy import RISK, SCORE
from weir_common.events.scalars import Probability, ShortText


class FeatureVectors(Part):
    user_features: Annotated[list[float] | None, SCORE] = None
    product_features: Annotated[list[float] | None, SCORE] = None
    contextual_features: Annotated[list[float] | None, SCORE] = None


class FraudDetectionScore(Part):
    model_version: Annotated[ShortText | None, RISK] = None
    score: Annotated[Probability | None, RISK] = None
    confidence: Annotated[Probability | None, RISK] = None
    explanation: Annotated[list[ShortText] | None, RISK] = None


class RecommendedProduct(Part):
    product_id: Annotated[ShortText | None, SCORE] = None
    score: Annotated[float | None, SCORE] = None
    reason: Annotated[ShortText | None, SCORE] = None


class RecommendationScore(Part):
    model_version: Annotated[ShortText | None, SCORE] = None
    recommendations: list[RecommendedProduct] | None = None


class ChurnPrediction(Part):
    model_version: Annotated[ShortText | None, SCORE] = None
    churn_probability: Annotated[Probability | None, SCORE] = None
    days_to_churn: Annotated[float | None, SCORE] = None
    intervention_recommended: Annotated[ShortText | None, SCORE] = None


class ModelScores(Part):
    fraud_detection: FraudDetectionScore | None = None
    recommendation: RecommendationScore | None = None
    churn_prediction: ChurnPrediction | None = None


class MlContext(Part):
    feature_vectors: FeatureVectors | None = None
    model_scores: ModelScores | None = None
