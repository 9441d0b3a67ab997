"""Show the auctions in reports: four views, which docs/reporting.md describes column by column.

One text a view for both engines; what they must say in different words stands in `Postgres` and `SQLite`.
"""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


class Postgres:
    """Amounts are NUMERIC and exact, ratios rounded to six decimals."""

    @staticmethod
    def instant(micros: str) -> str:
        return f"timestamptz 'epoch' + {micros} * INTERVAL '1 microsecond'"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"round(({micros}) / 1000000::numeric, 6)"

    @staticmethod
    def amount(units: str, decimals: str) -> str:
        return f"trim_scale(({units}) * power(10::numeric, -{decimals}))"

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(({part})::numeric / nullif({whole}, 0), 6)"


class SQLite:
    """No NUMERIC: an amount or a ratio is the nearest double, and the units beside it are exact."""

    @staticmethod
    def instant(micros: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%S', {micros} / 1000000, 'unixepoch') || printf('.%06dZ', {micros} % 1000000)"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"({micros}) / 1000000.0"

    @staticmethod
    def amount(units: str, decimals: str) -> str:
        return f"({units}) / CAST('1e' || {decimals} AS REAL)"

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(({part}) * 1.0 / nullif({whole}, 0), 6)"


Engine = Postgres | SQLite


def fill_rate(engine: Engine) -> str:
    def count(state: str) -> str:
        return f"sum(CASE WHEN orders.state = '{state}' THEN 1 ELSE 0 END)"

    ended = "sum(CASE WHEN orders.state IN ('filled', 'expired', 'cancelled') THEN 1 ELSE 0 END)"
    return f"""
CREATE VIEW report_auction_fill_rate AS
SELECT orders.book,
       orders.input_asset,
       orders.output_asset,
       count(*) AS orders,
       {count("filled")} AS filled,
       {count("expired")} AS expired,
       {count("cancelled")} AS cancelled,
       sum(coalesce(promises.failed, 0)) AS failed_commitments,
       {engine.ratio(count("filled"), ended)} AS fill_rate
  FROM auction_orders AS orders
  LEFT JOIN (SELECT book,
                    order_id,
                    sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed
               FROM auction_commitments
              GROUP BY book, order_id) AS promises
    ON promises.book = orders.book AND promises.order_id = orders.order_id
 GROUP BY orders.book, orders.input_asset, orders.output_asset
"""


def fill_times(engine: Engine) -> str:
    return f"""
CREATE VIEW report_auction_fill_times AS
SELECT orders.book,
       orders.order_id,
       orders.state,
       {engine.instant("orders.placed_at")} AS placed_at,
       {engine.instant("orders.added_at")} AS added_at,
       {engine.instant("orders.ended_at")} AS ended_at,
       coalesce(promises.commitments, 0) AS commitments,
       {engine.seconds("orders.added_at - orders.placed_at")} AS seconds_to_announcement,
       {engine.seconds("promises.first_at - orders.added_at")} AS seconds_to_first_commitment,
       {engine.seconds("promises.filled_at - orders.added_at")} AS seconds_to_fill
  FROM auction_orders AS orders
  LEFT JOIN (SELECT book,
                    order_id,
                    count(*) AS commitments,
                    min(created_at) AS first_at,
                    max(CASE WHEN state = 'filled' THEN ended_at END) AS filled_at
               FROM auction_commitments
              GROUP BY book, order_id) AS promises
    ON promises.book = orders.book AND promises.order_id = orders.order_id
"""


def surplus(engine: Engine) -> str:
    output = "CASE WHEN promises.escrow = 'claim' THEN promises.min_output ELSE promises.deposited END"
    over_limit = f"{output} - orders.limit_output"
    unspent = "orders.input_budget - promises.input_amount"
    return f"""
CREATE VIEW report_auction_surplus AS
SELECT promises.book,
       promises.order_id,
       promises.commitment_id,
       promises.solver,
       promises.rank,
       orders.input_asset,
       orders.output_asset,
       promises.input_amount AS input_units,
       promises.min_output AS promised_units,
       {output} AS output_units,
       {output} - promises.min_output AS surplus_units,
       {over_limit} AS over_limit_units,
       {unspent} AS unspent_units,
       {engine.amount("promises.input_amount", "orders.input_decimals")} AS input,
       {engine.amount(output, "orders.output_decimals")} AS output,
       {engine.amount(f"{output} - promises.min_output", "orders.output_decimals")} AS surplus,
       {engine.instant("promises.ended_at")} AS filled_at
  FROM auction_commitments AS promises
  JOIN auction_orders AS orders
    ON orders.book = promises.book AND orders.order_id = promises.order_id
 WHERE promises.state = 'filled'
"""


def solvers(engine: Engine) -> str:
    ended = "coalesce(promises.filled, 0) + coalesce(promises.failed, 0)"
    return f"""
CREATE VIEW report_auction_solvers AS
SELECT known.book,
       known.solver,
       coalesce(promises.commitments, 0) AS commitments,
       coalesce(promises.filled, 0) AS filled,
       coalesce(promises.failed, 0) AS failed,
       {engine.ratio("coalesce(promises.filled, 0)", ended)} AS kept_rate,
       coalesce(bids.orders, 0) AS orders_bid_on,
       coalesce(promises.slashed, 0) AS slashed_units,
       {engine.seconds("promises.work_micros")} AS average_seconds_to_fill,
       rank() OVER (PARTITION BY known.book
                        ORDER BY coalesce(promises.filled, 0) DESC, coalesce(promises.failed, 0)) AS place,
       CASE WHEN records.blocked_until > 0 THEN {engine.instant("records.blocked_until")} END AS blocked_until
  FROM (SELECT book, solver FROM auction_bids
         UNION
        SELECT book, solver FROM auction_commitments) AS known
  LEFT JOIN (SELECT book,
                    solver,
                    count(*) AS commitments,
                    sum(CASE WHEN state = 'filled' THEN 1 ELSE 0 END) AS filled,
                    sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END) AS failed,
                    sum(slashed) AS slashed,
                    avg(CASE WHEN state = 'filled' THEN ended_at - created_at END) AS work_micros
               FROM auction_commitments
              GROUP BY book, solver) AS promises
    ON promises.book = known.book AND promises.solver = known.solver
  LEFT JOIN (SELECT book, solver, count(*) AS orders
               FROM auction_bids
              GROUP BY book, solver) AS bids
    ON bids.book = known.book AND bids.solver = known.solver
  LEFT JOIN auction_solvers AS records
    ON records.book = known.book AND records.solver = known.solver
"""


VIEWS = {
    "auction_fill_rate": fill_rate,
    "auction_fill_times": fill_times,
    "auction_surplus": surplus,
    "auction_solvers": solvers,
}


def upgrade() -> None:
    engine = Postgres() if op.get_context().dialect.name == "postgresql" else SQLite()
    for define in VIEWS.values():
        op.execute(define(engine))


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW report_{name}")
