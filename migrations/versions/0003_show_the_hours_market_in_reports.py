"""Show the hours market in reports: five views, which docs/reporting.md describes column by column.

One text a view for both engines. What they must say in different words stands in `Postgres` and `SQLite`, side by side,
with the reason why it means the same.
"""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

MICROS_A_DAY = 86_400_000_000
# A sum of amounts is taken in two parts on SQLite, each far below 2^63.
PART = 1_000_000_000


class Postgres:
    """Sums of BIGINT are NUMERIC by themselves, quotients too: exact, and rounded once to six decimals."""

    # The transaction's instant, so that views read in one transaction agree.
    now = "(extract(epoch FROM now()) * 1000000)::bigint"

    @staticmethod
    def instant(micros: str) -> str:
        return f"timestamptz 'epoch' + {micros} * INTERVAL '1 microsecond'"

    @staticmethod
    def day(days: str) -> str:
        return f"DATE '1970-01-01' + ({days})::integer"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"round(({micros})::numeric / 1000000, 6)"

    @staticmethod
    def total(amount: str) -> str:
        return f"sum({amount})"

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(({part}) / ({whole}), 6)"


class SQLite:
    """No NUMERIC: sums are 64-bit integers, quotients doubles, rounded to six decimals as well."""

    # 'now' stands still within a statement; SQLite knows it to the millisecond.
    now = "(CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000)"

    @staticmethod
    def instant(micros: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%S', {micros} / 1000000, 'unixepoch') || printf('.%06dZ', {micros} % 1000000)"

    @staticmethod
    def day(days: str) -> str:
        return f"date(({days}) * 86400, 'unixepoch')"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"({micros}) / 1000000.0"

    @staticmethod
    def total(amount: str) -> str:
        # Past 2^63 sum() would end the query with an error; `+` and `*` go on as doubles there.
        return f"sum({amount} / {PART}) * {PART} + sum({amount} % {PART})"

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(1.0 * ({part}) / ({whole}), 6)"


Engine = Postgres | SQLite


def allocations(engine: Engine) -> str:
    value = engine.total("given.volume * given.price")
    return f"""
CREATE VIEW report_allocations AS
SELECT given.market,
       given.username,
       count(*) AS allocations,
       sum(given.volume) AS volume,
       {value} AS value,
       {engine.ratio(value, "sum(given.volume)")} AS average_price,
       {engine.instant("min(given.allocated_at)")} AS first_allocated_at,
       {engine.instant("max(given.allocated_at)")} AS last_allocated_at
  FROM allocations AS given
 GROUP BY given.market, given.username
"""


def daily_volume(engine: Engine) -> str:
    day = f"given.allocated_at / {MICROS_A_DAY}"
    value = engine.total("given.volume * given.price")
    return f"""
CREATE VIEW report_daily_volume AS
SELECT given.market,
       {engine.day(day)} AS day,
       count(*) AS allocations,
       count(DISTINCT given.username) AS users,
       sum(given.volume) AS volume,
       {value} AS value,
       {engine.ratio(value, "sum(given.volume)")} AS average_price,
       min(given.price) AS lowest_price,
       max(given.price) AS highest_price
  FROM allocations AS given
 GROUP BY given.market, {day}
"""


def open_interest(engine: Engine) -> str:
    return f"""
CREATE VIEW report_open_interest AS
SELECT bids.market,
       'bid' AS side,
       bids.price,
       count(*) AS offers,
       sum(bids.remaining) AS volume,
       sum(sum(bids.remaining)) OVER (PARTITION BY bids.market ORDER BY bids.price DESC) AS cumulative_volume
  FROM bids
 WHERE bids.state = 'open'
   AND (bids.expires_at IS NULL OR bids.expires_at > {engine.now})
 GROUP BY bids.market, bids.price
UNION ALL
SELECT supplies.market,
       'supply',
       supplies.min_price,
       count(*),
       sum(supplies.remaining),
       sum(sum(supplies.remaining)) OVER (PARTITION BY supplies.market ORDER BY supplies.min_price)
  FROM supplies
 WHERE supplies.state = 'open'
 GROUP BY supplies.market, supplies.min_price
"""


def supply_utilisation(engine: Engine) -> str:
    volume, allocated = "sum(supplies.volume)", "sum(supplies.volume - supplies.remaining)"
    return f"""
CREATE VIEW report_supply_utilisation AS
SELECT supplies.market,
       supplies.provider,
       count(*) AS supplies,
       {volume} AS volume,
       {allocated} AS allocated,
       sum(CASE WHEN supplies.state = 'open' THEN supplies.remaining ELSE 0 END) AS open_volume,
       sum(CASE WHEN supplies.state = 'withdrawn' THEN supplies.remaining ELSE 0 END) AS withdrawn,
       {engine.ratio(allocated, volume)} AS utilisation,
       coalesce({engine.total("paid.value")}, 0) AS value
  FROM supplies
  LEFT JOIN (SELECT given.market, given.supply_id, sum(given.volume * given.price) AS value
               FROM allocations AS given
              GROUP BY given.market, given.supply_id) AS paid
    ON paid.market = supplies.market AND paid.supply_id = supplies.supply_id
 GROUP BY supplies.market, supplies.provider
"""


def fill_times(engine: Engine) -> str:
    gone = f"(bids.state = 'open' AND bids.expires_at <= {engine.now})"
    return f"""
CREATE VIEW report_fill_times AS
SELECT bids.market,
       bids.bid_id,
       bids.username,
       bids.price,
       CASE WHEN {gone} THEN 'expired' ELSE bids.state END AS state,
       bids.volume,
       bids.volume - bids.remaining AS allocated,
       CASE WHEN bids.state <> 'open' OR {gone} THEN 0 ELSE bids.remaining END AS open_volume,
       {engine.instant("bids.placed_at")} AS placed_at,
       {engine.instant("given.first_at")} AS first_filled_at,
       CASE WHEN bids.state = 'filled' THEN {engine.instant("given.last_at")} END AS filled_at,
       {engine.seconds("given.first_at - bids.placed_at")} AS first_fill_seconds,
       CASE WHEN bids.state = 'filled' THEN {engine.seconds("given.last_at - bids.placed_at")} END AS full_fill_seconds
  FROM bids
  LEFT JOIN (SELECT allocations.market,
                    allocations.bid_id,
                    min(allocations.allocated_at) AS first_at,
                    max(allocations.allocated_at) AS last_at
               FROM allocations
              GROUP BY allocations.market, allocations.bid_id) AS given
    ON given.market = bids.market AND given.bid_id = bids.bid_id
"""


VIEWS = {
    "allocations": allocations,
    "daily_volume": daily_volume,
    "open_interest": open_interest,
    "supply_utilisation": supply_utilisation,
    "fill_times": fill_times,
}


def upgrade() -> None:
    engine = Postgres() if op.get_context().dialect.name == "postgresql" else SQLite()
    for define in VIEWS.values():
        op.execute(define(engine))


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW report_{name}")
