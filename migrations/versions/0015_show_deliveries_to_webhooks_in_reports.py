"""Show deliveries to webhooks in reports: one view, which docs/reporting.md describes column by column.

One text for both engines; what they must say in different words stands in `Postgres` and `SQLite`. Of a webhook it has
nothing but whose it is: not its secret, and not its URL either, in which there may be one of its receiver's.
"""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


class Postgres:
    @staticmethod
    def instant(micros: str) -> str:
        return f"timestamptz 'epoch' + {micros} * INTERVAL '1 microsecond'"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"round(({micros}) / 1000000.0, 6)"


class SQLite:
    @staticmethod
    def instant(micros: str) -> str:
        return f"strftime('%Y-%m-%dT%H:%M:%S', {micros} / 1000000, 'unixepoch') || printf('.%06dZ', {micros} % 1000000)"

    @staticmethod
    def seconds(micros: str) -> str:
        return f"round(({micros}) / 1000000.0, 6)"


Engine = Postgres | SQLite

_ATTEMPTS = """
         FROM delivery_attempts AS made
        WHERE made.webhook_id = deliveries.webhook_id AND made.lane = deliveries.lane AND made.seq = deliveries.seq
"""


def webhook_deliveries(engine: Engine) -> str:
    return f"""
CREATE VIEW report_webhook_deliveries AS
SELECT deliveries.webhook_id,
       deliveries.lane,
       deliveries.seq,
       webhooks.member AS username,
       events.topic,
       events.kind,
       deliveries.state,
       deliveries.attempts,
       latest.status AS last_status,
       latest.error AS last_error,
       {engine.instant("deliveries.created_at")} AS created_at,
       {engine.instant("latest.at")} AS last_attempt_at,
       {engine.instant("deliveries.next_attempt_at")} AS next_attempt_at,
       {engine.instant("deliveries.finished_at")} AS finished_at,
       {engine.seconds("deliveries.finished_at - deliveries.created_at")} AS seconds
  FROM deliveries
  JOIN webhooks ON webhooks.webhook_id = deliveries.webhook_id
  LEFT JOIN events ON events.lane = deliveries.lane AND events.seq = deliveries.seq
  LEFT JOIN delivery_attempts AS latest
         ON latest.webhook_id = deliveries.webhook_id
        AND latest.lane = deliveries.lane
        AND latest.seq = deliveries.seq
        AND latest.attempt = (SELECT max(made.attempt) {_ATTEMPTS})
"""


def upgrade() -> None:
    op.execute(webhook_deliveries(Postgres() if op.get_context().dialect.name == "postgresql" else SQLite()))


def downgrade() -> None:
    op.execute("DROP VIEW report_webhook_deliveries")
