"""Show the address pool in reports: three views, which docs/reporting.md describes column by column.

One text a view for both engines; what they must say in different words stands in `Postgres` and `SQLite`.
"""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


class Postgres:
    """Quotients of NUMERIC are exact and rounded once to six decimals."""

    now = "(extract(epoch FROM now()) * 1000000)::bigint"

    @staticmethod
    def instant(micros: str) -> str:
        return f"timestamptz 'epoch' + {micros} * INTERVAL '1 microsecond'"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"round(({micros})::numeric / 1000000, 6)"

    @staticmethod
    def number(digits: str) -> str:
        return f"{digits}::numeric"

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(({part}) / nullif({whole}, 0), 6)"


class SQLite:
    """No NUMERIC: a count past 2^63 is a double here, and so is every quotient."""

    now = "(CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000)"

    @staticmethod
    def instant(micros: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%S', {micros} / 1000000, 'unixepoch') || printf('.%06dZ', {micros} % 1000000)"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"({micros}) / 1000000.0"

    @staticmethod
    def number(digits: str) -> str:
        return f"CASE WHEN length({digits}) < 19 THEN CAST({digits} AS INTEGER) ELSE CAST({digits} AS REAL) END"

    @staticmethod
    def ratio(part: str, whole: str) -> str:
        return f"round(1.0 * ({part}) / nullif({whole}, 0), 6)"


Engine = Postgres | SQLite


def current_assignments(engine: Engine) -> str:
    return f"""
CREATE VIEW report_current_assignments AS
SELECT addresses.network,
       addresses.ip,
       addresses.vm_id,
       addresses.hostname,
       addresses.owner,
       {engine.instant("addresses.assigned_at")} AS assigned_at
  FROM addresses
 WHERE addresses.vm_id IS NOT NULL
"""


def address_history(engine: Engine) -> str:
    return f"""
CREATE VIEW report_address_history AS
SELECT addresses.network,
       addresses.ip,
       addresses.seq,
       addresses.vm_id,
       addresses.hostname,
       addresses.owner,
       {engine.instant("addresses.assigned_at")} AS assigned_at,
       NULL AS released_at,
       NULL AS held_seconds
  FROM addresses
 WHERE addresses.vm_id IS NOT NULL
UNION ALL
SELECT past.network,
       past.ip,
       past.seq,
       past.vm_id,
       past.hostname,
       past.owner,
       {engine.instant("past.assigned_at")},
       {engine.instant("past.released_at")},
       {engine.seconds("past.released_at - past.assigned_at")}
  FROM past_assignments AS past
"""


def network_use(engine: Engine) -> str:
    return f"""
CREATE VIEW report_network_use AS
SELECT counted.network,
       counted.cidr,
       counted.gateway,
       counted.total,
       counted.assigned AS allocated,
       counted.reserved,
       counted.resting,
       counted.total - counted.reserved - counted.assigned - counted.resting AS available,
       {engine.ratio("counted.assigned", "counted.total - counted.reserved")} AS utilisation,
       {engine.instant("counted.created_at")} AS created_at
  FROM (SELECT networks.network,
               networks.cidr,
               networks.gateway,
               {engine.number("networks.total")} AS total,
               {engine.number("networks.reserved")} AS reserved,
               networks.assigned,
               networks.resting - (SELECT count(*)
                                     FROM addresses
                                    WHERE addresses.network = networks.network
                                      AND addresses.resting_until IS NOT NULL
                                      AND addresses.resting_until <= {engine.now}) AS resting,
               networks.created_at
          FROM networks) AS counted
"""


VIEWS = {
    "current_assignments": current_assignments,
    "address_history": address_history,
    "network_use": network_use,
}


def upgrade() -> None:
    engine = Postgres() if op.get_context().dialect.name == "postgresql" else SQLite()
    for define in VIEWS.values():
        op.execute(define(engine))


def downgrade() -> None:
    for name in reversed(VIEWS):
        op.execute(f"DROP VIEW report_{name}")
