"""Open the hours market: markets, bids, supplies, allocations and their totals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MAX = 1_000_000_000
# 2026-01-01T00:00:00Z in microseconds: the same on every database, so that two of them compare equal.
FROM_THE_START = 1_767_225_600_000_000


# What a foreign key does, for all rows of a statement at once. Each row is looked up by the parent's key, whatever the
# planner believes of the parent's size. Whoever deletes a parent waits for those who may be writing children.
REFERENCES = """
CREATE FUNCTION allocations_refer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM written WHERE (
            SELECT true FROM bids WHERE bids.market = written.market AND bids.bid_id = written.bid_id LIMIT 1
        ) IS NULL
    ) THEN
        RAISE foreign_key_violation USING TABLE = 'allocations', CONSTRAINT = 'allocations_bid_fkey',
            MESSAGE = 'an allocation names a bid that is not there: allocations_bid_fkey';
    END IF;
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT market, supply_id FROM written) AS named WHERE (
            SELECT true FROM supplies
            WHERE supplies.market = named.market AND supplies.supply_id = named.supply_id LIMIT 1
        ) IS NULL
    ) THEN
        RAISE foreign_key_violation USING TABLE = 'allocations', CONSTRAINT = 'allocations_supply_fkey',
            MESSAGE = 'an allocation names a supply that is not there: allocations_supply_fkey';
    END IF;
    RETURN NULL;
END $$
"""
KEPT = """
CREATE FUNCTION {table}_are_referred_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND (NEW.market, NEW.{key}) = (OLD.market, OLD.{key}) THEN
        RETURN NULL;
    END IF;
    LOCK TABLE allocations IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM allocations WHERE TG_OP = 'TRUNCATE' OR market = OLD.market AND {key} = OLD.{key}) THEN
        RAISE foreign_key_violation USING TABLE = '{table}', CONSTRAINT = '{constraint}',
            MESSAGE = 'allocations name it: {constraint}';
    END IF;
    RETURN NULL;
END $$
"""


def on_postgres() -> bool:
    return op.get_context().dialect.name == "postgresql"


def upgrade() -> None:
    op.create_table(
        "lane_hours",
        sa.Column("turn", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.PrimaryKeyConstraint("turn", name=op.f("lane_hours_pkey")),
        comment="always empty: LOCK TABLE lane_hours is the turn to write in the lane hours",
    )
    markets = op.create_table(
        "markets",
        sa.Column("market", sa.Text, primary_key=True, comment="its name"),
        sa.Column("state", sa.Text, nullable=False, comment="open, or closed to orders and amendments"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint("state IN ('open', 'closed')", name=op.f("markets_state_known")),
        sa.PrimaryKeyConstraint("market", name=op.f("markets_pkey")),
        comment="the books there are; `default` is there from the start",
    )
    create_bids()
    create_supplies()
    create_allocations()
    op.bulk_insert(markets, [{"market": "default", "state": "open", "created_at": FROM_THE_START}])
    if on_postgres():
        create_references()
        # What is served leaves dead entries at the head of the open ones, which each match walks over until a vacuum.
        for table in ("bids", "supplies"):
            op.execute(f"ALTER TABLE {table} SET (autovacuum_vacuum_scale_factor = 0.02)")


def create_bids() -> None:
    op.create_table(
        "bids",
        sa.Column("market", sa.Text, primary_key=True),
        sa.Column(
            "bid_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="seq of the command that placed it"
        ),
        sa.Column(
            "seq", sa.BigInteger, nullable=False, comment="its place in the queue: bid_id, or the last amendment's seq"
        ),
        sa.Column("username", sa.Text, nullable=False, comment="who bids"),
        sa.Column("volume", sa.BigInteger, nullable=False, comment="hours asked for, those allocated included"),
        sa.Column(
            "remaining", sa.BigInteger, nullable=False, comment="hours not allocated; dead once the bid is closed"
        ),
        sa.Column("price", sa.BigInteger, nullable=False, comment="the most it pays per hour, and what it pays"),
        sa.Column("time_in_force", sa.Text, nullable=False, comment="gtc, ioc or fok"),
        sa.Column("state", sa.Text, nullable=False, comment="open, filled, cancelled (ioc's rest too) or expired"),
        sa.Column("placed_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True, comment="no longer matched from then on; null: never"),
        sa.CheckConstraint(f"volume BETWEEN 1 AND {MAX}", name=op.f("bids_volume_positive")),
        sa.CheckConstraint("remaining BETWEEN 0 AND volume", name=op.f("bids_remaining_within_volume")),
        sa.CheckConstraint(f"price BETWEEN 0 AND {MAX}", name=op.f("bids_price_not_negative")),
        sa.CheckConstraint("seq >= bid_id", name=op.f("bids_queued_after_placed")),
        sa.CheckConstraint("time_in_force IN ('gtc', 'ioc', 'fok')", name=op.f("bids_time_in_force_known")),
        sa.CheckConstraint("state IN ('open', 'filled', 'cancelled', 'expired')", name=op.f("bids_state_known")),
        sa.CheckConstraint("(state = 'filled') = (remaining = 0)", name=op.f("bids_filled_when_nothing_remains")),
        sa.CheckConstraint("length(username) BETWEEN 1 AND 128", name=op.f("bids_username_length")),
        sa.ForeignKeyConstraint(["market"], ["markets.market"], name=op.f("bids_market_fkey")),
        sa.PrimaryKeyConstraint("market", "bid_id", name=op.f("bids_pkey")),
        comment="offers to buy hours",
        sqlite_with_rowid=False,
    )
    is_open, is_expiring = sa.text("state = 'open'"), sa.text("state = 'open' AND expires_at IS NOT NULL")
    op.create_index(
        "bids_open", "bids", ["market", sa.text("price DESC"), "seq"], postgresql_where=is_open, sqlite_where=is_open
    )
    op.create_index(
        "bids_expiring", "bids", ["expires_at", "bid_id"], postgresql_where=is_expiring, sqlite_where=is_expiring
    )
    op.create_index("bids_by_user", "bids", ["market", "username", "bid_id"])


def create_supplies() -> None:
    op.create_table(
        "supplies",
        sa.Column("market", sa.Text, primary_key=True),
        sa.Column(
            "supply_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="seq of the command; its place"
        ),
        sa.Column("provider", sa.Text, nullable=True, comment="who sells; null where nobody was named"),
        sa.Column("volume", sa.BigInteger, nullable=False, comment="hours offered"),
        sa.Column(
            "remaining", sa.BigInteger, nullable=False, comment="hours not given away; dead once it is withdrawn"
        ),
        sa.Column("min_price", sa.BigInteger, nullable=False, comment="a bid below it does not match"),
        sa.Column("state", sa.Text, nullable=False, comment="open, exhausted or withdrawn"),
        sa.Column("added_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint(f"volume BETWEEN 1 AND {MAX}", name=op.f("supplies_volume_positive")),
        sa.CheckConstraint("remaining BETWEEN 0 AND volume", name=op.f("supplies_remaining_within_volume")),
        sa.CheckConstraint(f"min_price BETWEEN 0 AND {MAX}", name=op.f("supplies_min_price_not_negative")),
        sa.CheckConstraint("state IN ('open', 'exhausted', 'withdrawn')", name=op.f("supplies_state_known")),
        sa.CheckConstraint(
            "(state = 'exhausted') = (remaining = 0)", name=op.f("supplies_exhausted_when_nothing_remains")
        ),
        sa.ForeignKeyConstraint(["market"], ["markets.market"], name=op.f("supplies_market_fkey")),
        sa.PrimaryKeyConstraint("market", "supply_id", name=op.f("supplies_pkey")),
        comment="hours on offer",
        sqlite_with_rowid=False,
    )
    is_open = sa.text("state = 'open'")
    op.create_index(
        "supplies_open",
        "supplies",
        ["market", "min_price", "supply_id"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )


def create_allocations() -> None:
    op.create_table(
        "allocations",
        sa.Column("market", sa.Text, primary_key=True),
        sa.Column(
            "seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="the command that brought it about"
        ),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False, comment="from 0 within that command"),
        sa.Column("bid_id", sa.BigInteger, nullable=False),
        sa.Column("supply_id", sa.BigInteger, nullable=False),
        sa.Column("username", sa.Text, nullable=False, comment="the bid's"),
        sa.Column("volume", sa.BigInteger, nullable=False, comment="hours given"),
        sa.Column("price", sa.BigInteger, nullable=False, comment="per hour: the bid's price then (pay as bid)"),
        sa.Column("allocated_at", sa.BigInteger, nullable=False),
        *([] if on_postgres() else declared_references()),
        sa.CheckConstraint(f"volume BETWEEN 1 AND {MAX}", name=op.f("allocations_volume_positive")),
        sa.CheckConstraint(f"price BETWEEN 0 AND {MAX}", name=op.f("allocations_price_not_negative")),
        sa.PrimaryKeyConstraint("market", "seq", "position", name=op.f("allocations_pkey")),
        comment="hours given to bids; rows are only ever added",
        sqlite_with_rowid=False,
    )
    op.create_index("allocations_by_user", "allocations", ["market", "username", "seq", "position"])
    op.create_index("allocations_by_time", "allocations", ["allocated_at"], postgresql_using="brin")
    op.create_table(
        "allocated_totals",
        sa.Column("market", sa.Text, primary_key=True),
        sa.Column("username", sa.Text, primary_key=True),
        sa.Column(
            "volume", sa.BigInteger, nullable=False, comment="sum of the user's allocations; no row before the first"
        ),
        sa.CheckConstraint("volume >= 1", name=op.f("allocated_totals_volume_positive")),
        sa.ForeignKeyConstraint(["market"], ["markets.market"], name=op.f("allocated_totals_market_fkey")),
        sa.PrimaryKeyConstraint("market", "username", name=op.f("allocated_totals_pkey")),
        comment="what /allocation reads",
        sqlite_with_rowid=False,
    )


def declared_references() -> list[sa.ForeignKeyConstraint]:
    return [
        sa.ForeignKeyConstraint(
            ["market", "bid_id"], ["bids.market", "bids.bid_id"], name=op.f("allocations_bid_fkey")
        ),
        sa.ForeignKeyConstraint(
            ["market", "supply_id"], ["supplies.market", "supplies.supply_id"], name=op.f("allocations_supply_fkey")
        ),
    ]


def create_references() -> None:
    """Let triggers hold what foreign keys would check row by row, with a row lock each."""
    op.execute(REFERENCES)
    for event in ("INSERT", "UPDATE"):
        op.execute(
            f"CREATE TRIGGER allocations_refer_on_{event.lower()} AFTER {event} ON allocations "
            "REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION allocations_refer()"
        )
    for table, key, constraint in (
        ("bids", "bid_id", "allocations_bid_fkey"),
        ("supplies", "supply_id", "allocations_supply_fkey"),
    ):
        op.execute(KEPT.format(table=table, key=key, constraint=constraint))
        op.execute(
            f"CREATE TRIGGER {table}_are_referred_to AFTER DELETE OR UPDATE OF market, {key} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_are_referred_to()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_are_referred_to_as_a_whole BEFORE TRUNCATE ON {table} "
            f"EXECUTE FUNCTION {table}_are_referred_to()"
        )


def downgrade() -> None:
    for table in ("allocated_totals", "allocations", "supplies", "bids", "markets", "lane_hours"):
        op.drop_table(table)
    if on_postgres():
        for function in ("allocations_refer", "bids_are_referred_to", "supplies_are_referred_to"):
            op.execute(f"DROP FUNCTION {function}()")
