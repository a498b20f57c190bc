"""What may go away by itself, and what fraud calls it then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg

from weir_fraud.errors import DecisionStoreUnavailable

AWAY: Final = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InsufficientResourcesError,
               asyncpg.OperatorInterventionError, asyncpg.TransactionRollbackError, OSError)  # fmt: skip
"""A deadline is the caller's."""


@contextmanager
def asked() -> Iterator[None]:
    """`DecisionStoreUnavailable` instead of them."""
    try:
        yield
    except AWAY as error:
        raise DecisionStoreUnavailable(f"PostgreSQL did not answer: {error!r}") from error
