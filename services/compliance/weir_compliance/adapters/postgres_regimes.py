"""What each law asks, from the tables `regime` and `holiday`."""

from datetime import date

import asyncpg

from weir_compliance.domain.deadline import AnswerPeriod


class PostgresRegimes:
    """`Regimes` on a pool of the application role."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def answer_period(self, regime: str, kind: str) -> tuple[AnswerPeriod, frozenset[date]] | None:
        async with self._pool.acquire(timeout=5) as connection:
            row = await connection.fetchrow("SELECT * FROM regime WHERE regime = $1 AND kind = $2", regime, kind)
            if row is None:
                return None
            holidays = await connection.fetch("SELECT day FROM holiday WHERE calendar = $1", row["holiday_calendar"])
        period = AnswerPeriod(row["answer_months"], row["answer_days"], row["moves_to_working_day"])
        return period, frozenset(holiday["day"] for holiday in holidays)
