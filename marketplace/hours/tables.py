"""The data dictionary of the hours market. Only the lane `hours` writes these tables.

Volumes are whole VM-hours, prices whole credits per VM-hour, both at most 10^9; instants (`*_at`) are microseconds
since 1970-01-01T00:00:00Z; ids are seqs of the lane. Every primary key begins with the market, by which the lane can
be split one day.
"""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.database.metadata import BY_TRIGGER, lane_table, metadata

LANE = "hours"
MAX = 1_000_000_000

turn = lane_table(LANE)

markets = sa.Table(
    "markets",
    metadata,
    sa.Column("market", sa.Text, primary_key=True, comment="its name"),
    sa.Column("state", sa.Text, nullable=False, comment="open, or closed to orders and amendments"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("state IN ('open', 'closed')", name="state_known"),
    comment="the books there are; `default` is there from the start",
)

bids = sa.Table(
    "bids",
    metadata,
    sa.Column("market", sa.Text, sa.ForeignKey("markets.market"), primary_key=True),
    sa.Column(
        "bid_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="seq of the command that placed it"
    ),
    sa.Column(
        "seq", sa.BigInteger, nullable=False, comment="its place in the queue: bid_id, or the last amendment's seq"
    ),
    sa.Column("username", sa.Text, nullable=False, comment="who bids"),
    sa.Column("volume", sa.BigInteger, nullable=False, comment="hours asked for, those allocated included"),
    sa.Column("remaining", sa.BigInteger, nullable=False, comment="hours not allocated; dead once the bid is closed"),
    sa.Column("price", sa.BigInteger, nullable=False, comment="the most it pays per hour, and what it pays"),
    sa.Column("time_in_force", sa.Text, nullable=False, comment="gtc, ioc or fok"),
    sa.Column("state", sa.Text, nullable=False, comment="open, filled, cancelled (ioc's rest too) or expired"),
    sa.Column("placed_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger, nullable=True, comment="no longer matched from then on; null: never"),
    sa.CheckConstraint(f"volume BETWEEN 1 AND {MAX}", name="volume_positive"),
    sa.CheckConstraint("remaining BETWEEN 0 AND volume", name="remaining_within_volume"),
    sa.CheckConstraint(f"price BETWEEN 0 AND {MAX}", name="price_not_negative"),
    sa.CheckConstraint("seq >= bid_id", name="queued_after_placed"),
    sa.CheckConstraint("time_in_force IN ('gtc', 'ioc', 'fok')", name="time_in_force_known"),
    sa.CheckConstraint("state IN ('open', 'filled', 'cancelled', 'expired')", name="state_known"),
    sa.CheckConstraint("(state = 'filled') = (remaining = 0)", name="filled_when_nothing_remains"),
    sa.CheckConstraint("length(username) BETWEEN 1 AND 128", name="username_length"),
    # Matching: the best open bids of a market, in the order in which they are served.
    sa.Index(
        "bids_open",
        "market",
        sa.text("price DESC"),
        "seq",
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    ),
    # Expiry: open bids whose time may have come, in the order in which they are closed. Few bids have one.
    sa.Index(
        "bids_expiring",
        "expires_at",
        "bid_id",
        postgresql_where=sa.text("state = 'open' AND expires_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'open' AND expires_at IS NOT NULL"),
    ),
    # Lists by user, and whether somebody ever placed a bid.
    sa.Index("bids_by_user", "market", "username", "bid_id"),
    comment="offers to buy hours",
    sqlite_with_rowid=False,  # the primary key is the table: one tree to write to, and not two
)

supplies = sa.Table(
    "supplies",
    metadata,
    sa.Column("market", sa.Text, sa.ForeignKey("markets.market"), primary_key=True),
    sa.Column(
        "supply_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="seq of the command; its place"
    ),
    sa.Column("provider", sa.Text, nullable=True, comment="who sells; null where nobody was named"),
    sa.Column("volume", sa.BigInteger, nullable=False, comment="hours offered"),
    sa.Column("remaining", sa.BigInteger, nullable=False, comment="hours not given away; dead once it is withdrawn"),
    sa.Column("min_price", sa.BigInteger, nullable=False, comment="a bid below it does not match"),
    sa.Column("state", sa.Text, nullable=False, comment="open, exhausted or withdrawn"),
    sa.Column("added_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint(f"volume BETWEEN 1 AND {MAX}", name="volume_positive"),
    sa.CheckConstraint("remaining BETWEEN 0 AND volume", name="remaining_within_volume"),
    sa.CheckConstraint(f"min_price BETWEEN 0 AND {MAX}", name="min_price_not_negative"),
    sa.CheckConstraint("state IN ('open', 'exhausted', 'withdrawn')", name="state_known"),
    sa.CheckConstraint("(state = 'exhausted') = (remaining = 0)", name="exhausted_when_nothing_remains"),
    # Matching: the cheapest open supplies of a market, in the order in which they give.
    sa.Index(
        "supplies_open",
        "market",
        "min_price",
        "supply_id",
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    ),
    # Lists by provider; those that nobody was named for are left out.
    sa.Index(
        "supplies_by_provider",
        "market",
        "provider",
        "supply_id",
        postgresql_where=sa.text("provider IS NOT NULL"),
        sqlite_where=sa.text("provider IS NOT NULL"),
    ),
    comment="hours on offer",
    sqlite_with_rowid=False,  # the primary key is the table: one tree to write to, and not two
)

allocations = sa.Table(
    "allocations",
    metadata,
    sa.Column("market", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="the command that brought it about"),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False, comment="from 0 within that command"),
    sa.Column("bid_id", sa.BigInteger, nullable=False),
    sa.Column("supply_id", sa.BigInteger, nullable=False),
    sa.Column("username", sa.Text, nullable=False, comment="the bid's"),
    sa.Column("volume", sa.BigInteger, nullable=False, comment="hours given"),
    sa.Column("price", sa.BigInteger, nullable=False, comment="per hour: the bid's price then (pay as bid)"),
    sa.Column("allocated_at", sa.BigInteger, nullable=False),
    # On Postgres triggers hold these two, for all rows of a statement at once (docs/decisions/0012).
    sa.ForeignKeyConstraint(
        ["market", "bid_id"], ["bids.market", "bids.bid_id"], name="allocations_bid_fkey", info=BY_TRIGGER
    ),
    sa.ForeignKeyConstraint(
        ["market", "supply_id"],
        ["supplies.market", "supplies.supply_id"],
        name="allocations_supply_fkey",
        info=BY_TRIGGER,
    ),
    sa.CheckConstraint(f"volume BETWEEN 1 AND {MAX}", name="volume_positive"),
    sa.CheckConstraint(f"price BETWEEN 0 AND {MAX}", name="price_not_negative"),
    # What a user got, in order.
    sa.Index("allocations_by_user", "market", "username", "seq", "position"),
    # Candles. Rows come in the order of time, so Postgres needs next to nothing for it.
    sa.Index("allocations_by_time", "allocated_at", postgresql_using="brin"),
    comment="hours given to bids; rows are only ever added",
    sqlite_with_rowid=False,  # the primary key is the table: one tree to write to, and not two
)

allocated_totals = sa.Table(
    "allocated_totals",
    metadata,
    sa.Column("market", sa.Text, sa.ForeignKey("markets.market"), primary_key=True),
    sa.Column("username", sa.Text, primary_key=True),
    sa.Column(
        "volume", sa.BigInteger, nullable=False, comment="sum of the user's allocations; no row before the first"
    ),
    sa.CheckConstraint("volume >= 1", name="volume_positive"),
    comment="what /allocation reads",
    sqlite_with_rowid=False,  # the primary key is the table: one tree to write to, and not two
)
