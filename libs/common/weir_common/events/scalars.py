"""The scalar types of the contract: each says its range once, for decoding and for the JSON Schema alike."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final

from msgspec import Meta

MOST: Final = 2**63 - 1
"""Whole numbers fit the 64 bits in which every store keeps them."""

# In Python `$` also matches before a last newline, in JSON Schema it does not; the lookahead makes both the same.
TenantName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)", description="The merchant's identifier")
]
Subtype = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,63}$(?!\n)", description="page_view, purchase, …")]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}$(?!\n)", description="ISO 3166-1 alpha-2")]
CurrencyCode = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217")]
CategoryCode = Annotated[str, Meta(pattern=r"^[0-9]{4}$(?!\n)", description="ISO 18245 merchant category")]

Text = Annotated[str, Meta(max_length=1_024)]
ShortText = Annotated[str, Meta(max_length=256)]
Url = Annotated[str, Meta(max_length=8_192)]

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with offset, no leap second")]
Money = Decimal
"""An amount in the currency beside it. `ranges` says how large; never summed over two currencies."""

Probability = Annotated[float, Meta(ge=0, le=1)]
Milliseconds = Annotated[float, Meta(ge=0)]
Integer = Annotated[int, Meta(ge=-MOST - 1, le=MOST)]
Count = Annotated[int, Meta(ge=0, le=MOST)]
Quantity = Annotated[int, Meta(ge=1, le=MOST)]
HttpStatus = Annotated[int, Meta(ge=100, le=599)]
SystemNumber = Annotated[int, Meta(ge=0, le=2**32 - 1, description="Autonomous system")]
