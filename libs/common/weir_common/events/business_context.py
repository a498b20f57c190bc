"""For which merchant, and what happened."""

from __future__ import annotations

from typing import Annotated, Literal

from weir_common.events.interaction_context import InteractionContext
from weir_common.events.part import SINCE_2_2, Part
from weir_common.events.privacy import MERCHANT
from weir_common.events.scalars import CategoryCode, ShortText
from weir_common.events.transaction_context import TransactionContext


class TenantMetadata(Part):
    merchant_id: Annotated[ShortText | None, MERCHANT] = None
    merchant_tier: Annotated[Literal["enterprise", "standard", "startup"] | None, MERCHANT] = None
    industry_vertical: Annotated[ShortText | None, MERCHANT] = None
    geographic_markets: Annotated[list[ShortText] | None, MERCHANT] = None
    business_model: Annotated[Literal["b2c", "b2b", "marketplace", "subscription"] | None, MERCHANT] = None
    merchant_category_code: Annotated[CategoryCode | None, MERCHANT, SINCE_2_2] = None


class BusinessContext(Part):
    tenant_metadata: TenantMetadata | None = None
    transaction_context: TransactionContext | None = None
    interaction_context: InteractionContext | None = None
