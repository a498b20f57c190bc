"""Labelled attacks and their benign twins, one module a rule: what the rules are measured with, and what the demo mixes in."""

from weir_anomaly.generators.bot import bot, fast_comparer
from weir_anomaly.generators.card_testing import card_testing, student_with_empty_cards
from weir_anomaly.generators.data_quality import data_quality, two_new_subtypes
from weir_anomaly.generators.episode import Episode
from weir_anomaly.generators.geo_impossible import commuter, flight, geo_impossible
from weir_anomaly.generators.price_manipulation import price_drop, price_manipulation

__all__ = [
    "Episode",
    "bot",
    "card_testing",
    "commuter",
    "data_quality",
    "fast_comparer",
    "flight",
    "geo_impossible",
    "price_drop",
    "price_manipulation",
    "student_with_empty_cards",
    "two_new_subtypes",
]
