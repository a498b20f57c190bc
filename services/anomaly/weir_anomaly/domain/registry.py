"""All rules, in one place. Adding a rule is one module in ``rules/`` and one line here."""

from __future__ import annotations

from weir_anomaly.domain.rule import Rule
from weir_anomaly.domain.rules.beh_bot import Bot
from weir_anomaly.domain.rules.biz_price_manipulation import PriceManipulation
from weir_anomaly.domain.rules.fin_card_testing import CardTesting
from weir_anomaly.domain.rules.fin_geo_impossible import GeoImpossible
from weir_anomaly.domain.rules.tec_data_quality import DataQuality


def all_rules() -> tuple[Rule, ...]:
    """The rules in the order in which they look at an event."""
    return (CardTesting(), GeoImpossible(), Bot(), PriceManipulation(), DataQuality())
