"""The handbook's data: payments, labels, and the feature values that were published for some of them.

Source: R. Le Borgne, W. Siblini, B. Lebichot, G. Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection -
Practical Handbook", 2022; simulated. Nothing of it is copied into the project: the folder is ``WEIR_DATA``/handbook.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from numpy.typing import NDArray

FIRST_DAY: Final = datetime(2018, 4, 1, tzinfo=UTC)
DAYS: Final = 183
DAY_SECONDS: Final = 86_400
PUBLISHED_DAYS: Final = (115, 136)
"""2018-07-25 to 2018-08-14: those with published features."""
LONGEST_WINDOW_DAYS: Final = 37

TERMINAL: Final = {
    "TERMINAL_ID_NB_TX_1DAY_WINDOW": "merchant_payment_count_24h_delayed_7d",
    "TERMINAL_ID_NB_TX_7DAY_WINDOW": "merchant_payment_count_7d_delayed_7d",
    "TERMINAL_ID_NB_TX_30DAY_WINDOW": "merchant_payment_count_30d_delayed_7d",
    "TERMINAL_ID_RISK_1DAY_WINDOW": "merchant_fraud_rate_24h_delayed_7d",
    "TERMINAL_ID_RISK_7DAY_WINDOW": "merchant_fraud_rate_7d_delayed_7d",
    "TERMINAL_ID_RISK_30DAY_WINDOW": "merchant_fraud_rate_30d_delayed_7d",
}
CUSTOMER_COUNTS: Final = {
    "CUSTOMER_ID_NB_TX_1DAY_WINDOW": "user_payment_count_24h",
    "CUSTOMER_ID_NB_TX_7DAY_WINDOW": "user_payment_count_7d",
    "CUSTOMER_ID_NB_TX_30DAY_WINDOW": "user_payment_count_30d",
}
CUSTOMER_MEANS: Final = {
    "CUSTOMER_ID_AVG_AMOUNT_1DAY_WINDOW": "user_payment_mean_24h",
    "CUSTOMER_ID_AVG_AMOUNT_7DAY_WINDOW": "user_payment_mean_7d",
    "CUSTOMER_ID_AVG_AMOUNT_30DAY_WINDOW": "user_payment_mean_30d",
}
FEATURES: Final = {**TERMINAL, **CUSTOMER_COUNTS, **CUSTOMER_MEANS}
"""The published name and ours."""


@dataclass(frozen=True)
class Transactions:
    """In the order of the data set, which is that of time. `seconds` since `FIRST_DAY`."""

    ids: NDArray[np.int64]
    seconds: NDArray[np.int64]
    customers: NDArray[np.int64]
    terminals: NDArray[np.int64]
    amounts: tuple[str, ...]
    """Decimal, to the cent, as they are in the data set."""
    frauds: NDArray[np.int64]
    scenarios: NDArray[np.int64]
    """How a fraud was simulated: 1 by its amount, 2 at a compromised terminal, 3 by a stolen card. For the bound only: nobody learns from it."""

    def __len__(self) -> int:
        return len(self.ids)


def read_transactions(folder: Path, first_day: int, end_day: int) -> Transactions:
    """Days `first_day` to `end_day` - 1. `FileNotFoundError` if the data set is not there."""
    path = folder / "transactions.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"{path}: set WEIR_DATA to the folder that has handbook/ (see bench/README.md)")
    with duckdb.connect() as connection:
        columns: dict[str, Any] = connection.execute(
            "SELECT TRANSACTION_ID, TX_TIME_SECONDS, CUSTOMER_ID, TERMINAL_ID, CAST(TX_AMOUNT AS DECIMAL(18, 2))::VARCHAR AS AMOUNT, "
            "TX_FRAUD, TX_FRAUD_SCENARIO FROM read_parquet(?) WHERE TX_TIME_SECONDS >= ? AND TX_TIME_SECONDS < ? ORDER BY TRANSACTION_ID",
            [str(path), first_day * DAY_SECONDS, end_day * DAY_SECONDS],
        ).fetchnumpy()
    return Transactions(
        ids=columns["TRANSACTION_ID"],
        seconds=columns["TX_TIME_SECONDS"],
        customers=columns["CUSTOMER_ID"],
        terminals=columns["TERMINAL_ID"],
        amounts=tuple(columns["AMOUNT"].tolist()),
        frauds=columns["TX_FRAUD"],
        scenarios=columns["TX_FRAUD_SCENARIO"],
    )


def read_features(folder: Path) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Ids of transactions, in their order, and the published values by our names."""
    with duckdb.connect() as connection:
        columns = connection.execute(
            "SELECT * FROM read_parquet(?) ORDER BY TRANSACTION_ID",
            [str(folder / "features_2018-07-25_2018-08-14.parquet")],
        ).fetchnumpy()
    return columns["TRANSACTION_ID"], {ours: columns[published] for published, ours in FEATURES.items()}


def moved(now: datetime) -> timedelta:
    """Whole weeks by which the data set is moved, so that its last day is past and weekdays stay."""
    weeks = (now - timedelta(days=1) - (FIRST_DAY + timedelta(days=DAYS))) // timedelta(weeks=1)
    return timedelta(weeks=weeks)


def event_id(run: uuid.UUID, transaction: int) -> str:
    """Of one run; a bench that runs again does not meet its own receipts."""
    return str(uuid.UUID(int=(run.int & ~(2**62 - 1)) | transaction))


def transaction_of(event: str) -> int:
    """The inverse."""
    return uuid.UUID(event).int & (2**62 - 1)
