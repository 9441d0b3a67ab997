"""Show the spot market in reports: seven views, which docs/reporting.md describes column by column.

One text a view for both engines; what they must say in different words stands in `Postgres` and `SQLite`.
"""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MICROS_A_DAY = 86_400_000_000


class Postgres:
    """Amounts, sums and quotients are NUMERIC and exact, rounded once where that is said."""

    greatest, least = "greatest", "least"

    @staticmethod
    def instant(micros: str) -> str:
        return f"timestamptz 'epoch' + {micros} * INTERVAL '1 microsecond'"

    @staticmethod
    def day(days: str) -> str:
        return f"DATE '1970-01-01' + ({days})::integer"

    @staticmethod
    def month(days: str) -> str:
        return f"to_char(DATE '1970-01-01' + ({days})::integer, 'YYYY-MM')"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"round(({micros})::numeric / 1000000, 6)"

    @staticmethod
    def amount(units: str) -> str:
        return f"trim_scale(({units})::numeric / 1000000)"

    @staticmethod
    def exact(number: str) -> str:
        return f"({number})::numeric"

    @staticmethod
    def integer(number: str) -> str:
        return f"({number})::bigint"

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(({part})::numeric / nullif(({whole})::numeric, 0), 6)"

    @staticmethod
    def rounded(number: str) -> str:
        return f"round({number}, 6)"


class SQLite:
    """No NUMERIC: an amount is the nearest double, and the units beside it are exact; quotients are doubles."""

    greatest, least = "max", "min"

    @staticmethod
    def instant(micros: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%S', {micros} / 1000000, 'unixepoch') || printf('.%06dZ', {micros} % 1000000)"

    @staticmethod
    def day(days: str) -> str:
        return f"date(({days}) * 86400, 'unixepoch')"

    @staticmethod
    def month(days: str) -> str:
        return f"strftime('%Y-%m', ({days}) * 86400, 'unixepoch')"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"({micros}) / 1000000.0"

    @staticmethod
    def amount(units: str) -> str:
        return f"({units}) / 1000000.0"

    @staticmethod
    def exact(number: str) -> str:
        return f"CAST({number} AS REAL)"

    @staticmethod
    def integer(number: str) -> str:
        return number

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(1.0 * ({part}) / nullif({whole}, 0), 6)"

    @staticmethod
    def rounded(number: str) -> str:
        return f"round({number}, 6)"


Engine = Postgres | SQLite


def leases(engine: Engine) -> str:
    until = "coalesce(leases.ended_at, leases.metered_until)"
    return f"""
CREATE VIEW report_spot_leases AS
SELECT leases.username,
       leases.lease_id,
       leases.bid_id,
       leases.pool,
       leases.node,
       leases.state,
       leases.cause,
       leases.for_bid,
       leases.exit_code,
       {engine.instant("leases.matched_at")} AS matched_at,
       {engine.instant("leases.started_at")} AS started_at,
       {engine.instant("leases.ended_at")} AS ended_at,
       {engine.seconds(f"coalesce({until} - leases.started_at, 0)")} AS seconds,
       {engine.ratio("leases.size", "leases.parts")} AS size,
       leases.max_price_micros_per_hour AS max_price_units,
       leases.charged_micros AS charged_units,
       leases.paid_micros AS paid_units,
       CASE WHEN leases.state = 'ended' THEN leases.charged_micros - leases.paid_micros ELSE 0 END AS unpaid_units,
       {engine.amount("leases.charged_micros")} AS charged
  FROM leases
"""


def bill_lines(engine: Engine) -> str:
    return f"""
CREATE VIEW report_spot_bill_lines AS
WITH lines AS (
    SELECT pool, lease_id, from_at, to_at, unit_price_micros_per_hour, charged_micros
      FROM lease_lines
     UNION ALL
    SELECT pool, lease_id, line_from_at, metered_until, line_unit_price_micros, line_charged_micros
      FROM leases
     WHERE metered_until > line_from_at
)
SELECT leases.username,
       lines.lease_id,
       {engine.instant("lines.from_at")} AS from_at,
       {engine.instant("lines.to_at")} AS to_at,
       lines.pool,
       leases.bid_id,
       {engine.day(f"lines.from_at / {MICROS_A_DAY}")} AS day,
       {engine.month(f"lines.from_at / {MICROS_A_DAY}")} AS month,
       {engine.seconds("lines.to_at - lines.from_at")} AS seconds,
       {engine.ratio("leases.size", "leases.parts")} AS size,
       lines.unit_price_micros_per_hour AS unit_price_units,
       lines.charged_micros AS charged_units,
       {engine.amount("lines.unit_price_micros_per_hour")} AS unit_price,
       {engine.amount("lines.charged_micros")} AS charged
  FROM lines
  JOIN leases ON leases.pool = lines.pool AND leases.lease_id = lines.lease_id
"""


def bills(engine: Engine) -> str:
    return f"""
CREATE VIEW report_spot_bills AS
SELECT username,
       month,
       lease_id,
       pool,
       bid_id,
       min(from_at) AS from_at,
       max(to_at) AS to_at,
       count(*) AS lines,
       sum(seconds) AS seconds,
       sum(charged_units) AS charged_units,
       {engine.amount("sum(charged_units)")} AS charged
  FROM report_spot_bill_lines
 GROUP BY username, month, lease_id, pool, bid_id
"""


def revenue(engine: Engine) -> str:
    return f"""
CREATE VIEW report_spot_revenue AS
SELECT day,
       pool,
       count(DISTINCT lease_id) AS leases,
       count(DISTINCT username) AS members,
       sum(seconds) AS seconds,
       {engine.rounded("sum(seconds * size)")} AS unit_seconds,
       sum(charged_units) AS charged_units,
       {engine.amount("sum(charged_units)")} AS charged
  FROM report_spot_bill_lines
 GROUP BY day, pool
"""


def evictions(engine: Engine) -> str:
    ran = "sum(leases.ended_at - leases.started_at)"
    return f"""
CREATE VIEW report_spot_evictions AS
SELECT {engine.day(f"leases.ended_at / {MICROS_A_DAY}")} AS day,
       leases.pool,
       leases.cause,
       count(*) AS leases,
       count(DISTINCT leases.username) AS members,
       {engine.seconds(ran)} AS seconds,
       {engine.ratio(ran, "1000000 * count(*)")} AS average_seconds,
       sum(leases.charged_micros) AS charged_units,
       {engine.amount("sum(leases.charged_micros)")} AS charged
  FROM leases
 WHERE leases.state = 'ended'
   AND leases.started_at IS NOT NULL
   AND leases.cause NOT IN ('exited', 'out_of_memory', 'start_failed')
 GROUP BY leases.ended_at / {MICROS_A_DAY}, leases.pool, leases.cause
"""


def utilisation(engine: Engine) -> str:
    is_ready = "nodes.state = 'ready'"
    cpu, memory = (f"sum(CASE WHEN {is_ready} THEN nodes.{name} ELSE 0 END)" for name in ("cpu_millis", "memory_mib"))
    used_cpu, used_memory = (f"coalesce(sum(used.{name}), 0)" for name in ("cpu_millis", "memory_mib"))
    return f"""
CREATE VIEW report_spot_utilisation AS
WITH used AS (
    SELECT leases.pool, leases.node, count(*) AS leases, sum(bids.cpu_millis) AS cpu_millis,
           sum(bids.memory_mib) AS memory_mib
      FROM leases
      JOIN spot_bids AS bids ON bids.pool = leases.pool AND bids.bid_id = leases.bid_id
     WHERE leases.is_clean = 0 AND leases.state IN ('starting', 'running', 'evicting', 'stopping')
     GROUP BY leases.pool, leases.node
)
SELECT nodes.pool,
       count(*) AS nodes,
       sum(CASE WHEN {is_ready} THEN 1 ELSE 0 END) AS ready_nodes,
       {cpu} AS cpu_millis,
       {memory} AS memory_mib,
       {engine.integer("coalesce(sum(used.leases), 0)")} AS leases,
       {engine.integer(used_cpu)} AS used_cpu_millis,
       {engine.integer(used_memory)} AS used_memory_mib,
       {engine.ratio(used_cpu, cpu)} AS cpu_utilisation,
       {engine.ratio(used_memory, memory)} AS memory_utilisation,
       (SELECT count(*) FROM spot_bids AS waiting
         WHERE waiting.pool = nodes.pool AND waiting.state IN ('submitted', 'matched')) AS waiting_bids,
       prices.unit_price_micros_per_hour AS unit_price_units,
       {engine.amount("prices.unit_price_micros_per_hour")} AS unit_price
  FROM nodes
  JOIN spot_prices AS prices ON prices.pool = nodes.pool AND prices.to_at IS NULL
  LEFT JOIN used ON used.pool = nodes.pool AND used.node = nodes.node AND {is_ready}
 WHERE nodes.cpu_millis > 0 OR nodes.memory_mib > 0
 GROUP BY nodes.pool, prices.unit_price_micros_per_hour
"""


def value(engine: Engine) -> str:
    # Exact before they are multiplied: a product of two INTEGERs may be none.
    room, size = (
        f"{{}}({engine.exact(f'{table}.cpu_millis')} * pools.unit_memory_mib, "
        f"{engine.exact(f'{table}.memory_mib')} * pools.unit_cpu_millis)"
        for table in ("nodes", "bids")
    )
    room, size = room.format(engine.least), size.format(engine.greatest)
    free = f"{engine.greatest}({engine.least}(ranked.size, capacity.size - ranked.before), 0)"
    ideal = f"coalesce(sum(ranked.price * {free} / ranked.size), 0)"
    realised = "coalesce(sum(CASE WHEN ranked.is_running = 1 THEN ranked.price ELSE 0 END), 0)"
    return f"""
CREATE VIEW report_spot_value AS
WITH capacity AS (
    SELECT pools.pool, {engine.exact("pools.unit_cpu_millis")} * pools.unit_memory_mib AS parts,
           sum(CASE WHEN nodes.state = 'ready' THEN {room} ELSE 0 END) AS size
      FROM pools
      JOIN nodes ON nodes.pool = pools.pool
     WHERE nodes.cpu_millis > 0 OR nodes.memory_mib > 0
     GROUP BY pools.pool, pools.unit_cpu_millis, pools.unit_memory_mib
),
sized AS (
    SELECT bids.pool, bids.bid_id, {engine.exact("bids.max_price_micros_per_hour")} AS price,
           {size} AS size,
           CASE WHEN bids.state IN ('starting', 'running', 'evicting') THEN 1 ELSE 0 END AS is_running
      FROM spot_bids AS bids
      JOIN pools ON pools.pool = bids.pool
     WHERE bids.state IN ('submitted', 'matched', 'starting', 'running', 'evicting')
),
ranked AS (
    SELECT sized.*,
           sum(sized.size) OVER (PARTITION BY sized.pool ORDER BY sized.price / sized.size DESC, sized.bid_id)
               - sized.size AS before
      FROM sized
)
SELECT capacity.pool,
       count(ranked.bid_id) AS bids,
       {engine.ratio("capacity.size", "capacity.parts")} AS capacity,
       {engine.ratio("coalesce(sum(ranked.size), 0)", "capacity.parts")} AS wanted,
       {engine.ratio("coalesce(sum(ranked.size * ranked.is_running), 0)", "capacity.parts")} AS running,
       {engine.amount(realised)} AS realised_value,
       {engine.rounded(engine.amount(ideal))} AS ideal_value,
       {engine.ratio(realised, ideal)} AS realised_share
  FROM capacity
  LEFT JOIN ranked ON ranked.pool = capacity.pool
 GROUP BY capacity.pool, capacity.size, capacity.parts
"""


VIEWS = {
    "spot_leases": leases,
    "spot_bill_lines": bill_lines,
    "spot_bills": bills,
    "spot_revenue": revenue,
    "spot_evictions": evictions,
    "spot_utilisation": utilisation,
    "spot_value": value,
}


def upgrade() -> None:
    engine = Postgres() if op.get_context().dialect.name == "postgresql" else SQLite()
    for define in VIEWS.values():
        op.execute(define(engine))


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW report_{name}")
