"""The data dictionary of the spot market. Only the lane `money` writes these tables.

Prices (`…_micros_per_hour`) are micro-credits an hour: a bid's for its whole container, the pool's for one unit.
Amounts (`…_micros`) are micro-credits, instants (`*_at`) microseconds since 1970-01-01T00:00:00Z. `changed_seq` of a
row is the entry of the lane's log that changed it last: projections read what is newer than they are.
"""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.database.metadata import metadata
from marketplace.spot.commands import (
    MAX_COMMAND_BYTES,
    MAX_PRICE_MICROS,
    MAX_SECONDS,
)
from marketplace.spot.model import MAX_MARGIN_BASIS_POINTS, MAX_PARTS

BID_STATES = (
    "submitted",
    "matched",
    "starting",
    "running",
    "evicting",
    "evicted",
    "completed",
    "cancelled",
    "failed",
)
LEASE_STATES = ("matched", "starting", "running", "evicting", "stopping", "ended")
_OPEN_BID = sa.text("state IN ('submitted', 'matched', 'starting', 'running', 'evicting')")
_OPEN_LEASE = sa.text("state <> 'ended'")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN {words}"  # a tuple of words is written as SQL writes it


pools = sa.Table(
    "pools",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True, comment="its name, as default"),
    sa.Column("unit_cpu_millis", sa.Integer, nullable=False, comment="millis of vCPU in a unit"),
    sa.Column("unit_memory_mib", sa.Integer, nullable=False, comment="MiB of memory in a unit"),
    sa.Column("reserve_micros_per_hour", sa.BigInteger, nullable=False, comment="the least that a unit costs"),
    sa.Column("pricing", sa.Text, nullable=False, comment="name of the pricing rule: uniform, pay_as_bid, …"),
    sa.Column("margin_basis_points", sa.Integer, nullable=False, comment="to be exceeded by more than this"),
    sa.Column("minimum_runtime_seconds", sa.Integer, nullable=False, comment="nobody is displaced earlier"),
    sa.Column("notice_seconds", sa.Integer, nullable=False, comment="from the notice to the end, unless wished for"),
    sa.Column("shortest_notice_seconds", sa.Integer, nullable=False, comment="bounds of the wish"),
    sa.Column("longest_notice_seconds", sa.Integer, nullable=False),
    sa.Column("backoff_seconds", sa.Integer, nullable=False, comment="before a bid is queued again: this, twice, …"),
    sa.Column("max_backoff_seconds", sa.Integer, nullable=False),
    sa.Column("images", sa.Text, nullable=False, comment="JSON: patterns of images that may run; [] for any"),
    sa.Column("needs_digest", sa.SmallInteger, nullable=False, comment="1: images are named by @sha256 only"),
    sa.Column("max_cpu_millis", sa.Integer, nullable=True, comment="of one lease; null: what a node has"),
    sa.Column("max_memory_mib", sa.Integer, nullable=True, comment="of one lease; null: what a node has"),
    sa.Column("network", sa.Text, nullable=True, comment="where leases get their addresses from; null: they get none"),
    sa.Column("opened_at", sa.BigInteger, nullable=False),
    sa.Column("changed_seq", sa.BigInteger, nullable=False, comment="entry that changed the settings last"),
    # What a plan is checked against; see service.
    sa.Column("taken_seq", sa.BigInteger, nullable=False, comment="last entry that took away what a plan may rely on"),
    sa.Column("opened_seq", sa.BigInteger, nullable=False, comment="last entry that opened room"),
    sa.CheckConstraint("length(pool) BETWEEN 1 AND 64", name="pool_length"),
    sa.CheckConstraint(
        "unit_cpu_millis >= 1 AND unit_memory_mib >= 1 AND "
        f"CAST(unit_cpu_millis AS BIGINT) * unit_memory_mib <= {MAX_PARTS}",
        name="unit_bounded",
    ),
    sa.CheckConstraint(f"reserve_micros_per_hour BETWEEN 0 AND {MAX_PRICE_MICROS}", name="reserve_bounded"),
    sa.CheckConstraint(f"margin_basis_points BETWEEN 0 AND {MAX_MARGIN_BASIS_POINTS}", name="margin_bounded"),
    sa.CheckConstraint("minimum_runtime_seconds BETWEEN 0 AND 86400", name="minimum_runtime_bounded"),
    sa.CheckConstraint(
        "0 <= shortest_notice_seconds AND shortest_notice_seconds <= notice_seconds "
        "AND notice_seconds <= longest_notice_seconds AND longest_notice_seconds <= 3600",
        name="notice_bounded",
    ),
    sa.CheckConstraint(
        "1 <= backoff_seconds AND backoff_seconds <= max_backoff_seconds AND max_backoff_seconds <= 86400",
        name="backoff_bounded",
    ),
    sa.CheckConstraint("needs_digest IN (0, 1)", name="needs_digest_is_a_flag"),
    comment="a market of nodes and bids by itself, with its own price; `default` is there from the start",
    sqlite_with_rowid=False,
)

nodes = sa.Table(
    "nodes",
    metadata,
    sa.Column("pool", sa.Text, sa.ForeignKey("pools.pool"), primary_key=True),
    sa.Column("node", sa.Text, primary_key=True, comment="its name"),
    sa.Column("provider", sa.Text, nullable=False, comment="username of who brought it"),
    sa.Column("backend", sa.Text, nullable=False, comment="simulated, docker, kubernetes, or an installed one"),
    sa.Column("settings", sa.Text, nullable=False, comment="JSON: the backend's settings"),
    sa.Column("owner", sa.Text, nullable=False, comment="made up: marks the containers that are this node's"),
    sa.Column("cpu_millis", sa.BigInteger, nullable=False, comment="what its leases may have together"),
    sa.Column("memory_mib", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="ready, cordoned, draining, lost"),
    sa.Column("heartbeat_at", sa.BigInteger, nullable=True, comment="last sign of life; null: none yet"),
    sa.Column("added_at", sa.BigInteger, nullable=False),
    sa.Column("claim", sa.Text, nullable=True, comment="token of the process that looks after it; null: none"),
    sa.Column("claimed_until", sa.BigInteger, nullable=True, comment="then another process may"),
    sa.Column("changed_seq", sa.BigInteger, nullable=False),
    sa.CheckConstraint("length(node) BETWEEN 1 AND 64", name="node_length"),
    sa.CheckConstraint("length(provider) BETWEEN 1 AND 128", name="provider_length"),
    sa.CheckConstraint("length(owner) BETWEEN 1 AND 26", name="owner_length"),
    sa.CheckConstraint("cpu_millis BETWEEN 0 AND 1000000000", name="cpu_bounded"),
    sa.CheckConstraint("memory_mib BETWEEN 0 AND 1000000000", name="memory_bounded"),
    sa.CheckConstraint(_one_of("state", ("ready", "cordoned", "draining", "lost")), name="state_known"),
    sa.CheckConstraint("(claim IS NULL) = (claimed_until IS NULL)", name="claimed_by_somebody"),
    sa.UniqueConstraint("owner", name="nodes_owner_key"),
    sa.Index("nodes_changed", "pool", "changed_seq", "node"),
    comment="machines that run leases, each by a backend",
    sqlite_with_rowid=False,
)

spot_bids = sa.Table(
    "spot_bids",
    metadata,
    sa.Column("pool", sa.Text, sa.ForeignKey("pools.pool"), primary_key=True),
    sa.Column("bid_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="seq of its submission"),
    sa.Column("username", sa.Text, nullable=False),
    sa.Column("image", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False, comment="JSON: list of words; [] for the image's own"),
    sa.Column("environment", sa.Text, nullable=False, comment="JSON: object of variables"),
    sa.Column("cpu_millis", sa.Integer, nullable=False),
    sa.Column("memory_mib", sa.Integer, nullable=False),
    sa.Column("max_price_micros_per_hour", sa.BigInteger, nullable=False, comment="for the whole container"),
    sa.Column("ttl_seconds", sa.BigInteger, nullable=True, comment="how long it may run; null: until stopped"),
    sa.Column("on_eviction", sa.Text, nullable=False, comment="terminate or requeue"),
    sa.Column("expires_at", sa.BigInteger, nullable=True, comment="a bid that waits then is cancelled; null: never"),
    sa.Column("budget_micros", sa.BigInteger, nullable=True, comment="what all its leases may cost; null: no bound"),
    sa.Column("max_preemptions", sa.Integer, nullable=True, comment="evicted more often it is not queued again"),
    sa.Column("notice_seconds", sa.Integer, nullable=True, comment="the notice it wishes for; null: the pool's"),
    sa.Column("state", sa.Text, nullable=False, comment="see BID_STATES; a lease that is stopping is still running"),
    sa.Column("cause", sa.Text, nullable=True, comment="why it is in this state, as a word: evicted, ttl, …"),
    sa.Column("reason", sa.Text, nullable=True, comment="the same as a sentence"),
    sa.Column("queue_seq", sa.BigInteger, nullable=False, comment="its place among equal prices: seq that queued it"),
    sa.Column("not_before", sa.BigInteger, nullable=True, comment="queued again, but not tried before; null: at once"),
    sa.Column("avoids", sa.Text, nullable=False, comment="JSON: nodes where its start has failed"),
    sa.Column("evictions", sa.Integer, nullable=False, comment="how often it was displaced"),
    sa.Column("failures", sa.Integer, nullable=False, comment="how often its start has failed, or it vanished"),
    sa.Column("hold_id", sa.BigInteger, nullable=True, comment="money set aside for it; null once it has ended"),
    sa.Column("held_micros", sa.BigInteger, nullable=True, comment="how much"),
    sa.Column("charged_micros", sa.BigInteger, nullable=False, comment="what its ended leases have cost"),
    sa.Column("lease_id", sa.BigInteger, nullable=True, comment="of its open lease; null while it waits or is over"),
    sa.Column("submitted_at", sa.BigInteger, nullable=False),
    sa.Column("ended_at", sa.BigInteger, nullable=True, comment="null while it is open"),
    sa.Column("changed_seq", sa.BigInteger, nullable=False),
    sa.CheckConstraint("length(username) BETWEEN 1 AND 128", name="username_length"),
    sa.CheckConstraint("length(image) BETWEEN 1 AND 255", name="image_length"),
    sa.CheckConstraint(f"length(command) <= {2 * MAX_COMMAND_BYTES}", name="command_length"),
    sa.CheckConstraint("cpu_millis >= 10", name="cpu_bounded"),
    sa.CheckConstraint("memory_mib >= 16", name="memory_bounded"),
    sa.CheckConstraint(f"max_price_micros_per_hour BETWEEN 1 AND {MAX_PRICE_MICROS}", name="max_price_bounded"),
    sa.CheckConstraint(f"ttl_seconds BETWEEN 1 AND {MAX_SECONDS}", name="ttl_bounded"),
    sa.CheckConstraint("on_eviction IN ('terminate', 'requeue')", name="on_eviction_known"),
    sa.CheckConstraint("budget_micros >= 1", name="budget_positive"),
    sa.CheckConstraint("max_preemptions >= 0", name="max_preemptions_not_negative"),
    sa.CheckConstraint("notice_seconds BETWEEN 0 AND 3600", name="notice_bounded"),
    sa.CheckConstraint(_one_of("state", BID_STATES), name="state_known"),
    sa.CheckConstraint("evictions >= 0 AND failures >= 0 AND charged_micros >= 0", name="counts_not_negative"),
    sa.CheckConstraint(
        "(lease_id IS NOT NULL) = (state IN ('matched', 'starting', 'running', 'evicting'))", name="leased_while_placed"
    ),
    sa.CheckConstraint(
        "(ended_at IS NULL) = (state IN ('submitted', 'matched', 'starting', 'running', 'evicting'))",
        name="ended_once_it_is_over",
    ),
    sa.CheckConstraint("(ended_at IS NULL) = (hold_id IS NOT NULL)", name="held_for_while_open"),
    sa.CheckConstraint("(hold_id IS NULL) = (held_micros IS NULL)", name="held_amount_of_a_hold"),
    sa.UniqueConstraint("bid_id", name="spot_bids_bid_id_key"),
    # What a projection has not seen yet.
    sa.Index("spot_bids_changed", "pool", "changed_seq", "bid_id"),
    # A new projection reads these, and a member's list of open ones.
    sa.Index("spot_bids_open", "pool", "bid_id", postgresql_where=_OPEN_BID, sqlite_where=_OPEN_BID),
    sa.Index("spot_bids_by_owner", "username", "bid_id"),
    # Those that wait and whose time may have come.
    sa.Index(
        "spot_bids_expiring",
        "expires_at",
        "bid_id",
        postgresql_where=sa.text("state = 'submitted' AND expires_at IS NOT NULL"),
        sqlite_where=sa.text("state = 'submitted' AND expires_at IS NOT NULL"),
    ),
    comment="containers that somebody wants to run",
    sqlite_with_rowid=False,
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("lease_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="seq of the match"),
    sa.Column("bid_id", sa.BigInteger, nullable=False),
    sa.Column("username", sa.Text, nullable=False, comment="the bid's"),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False, comment="see LEASE_STATES; matched: waits for its victims to go"),
    sa.Column("cause", sa.Text, nullable=True, comment="why it has to go or went, as a word; null while it is wanted"),
    sa.Column("reason", sa.Text, nullable=True, comment="the same as a sentence"),
    sa.Column("for_bid", sa.BigInteger, nullable=True, comment="the bid that displaced it"),
    sa.Column("notice_secret", sa.Text, nullable=False, comment="with it the container asks for its notice"),
    sa.Column("reference", sa.Text, nullable=True, comment="the backend's own name for the container"),
    sa.Column("address", sa.Text, nullable=True, comment="its IP address; null: none"),
    sa.Column("matched_at", sa.BigInteger, nullable=False),
    sa.Column("start_at", sa.BigInteger, nullable=True, comment="when it was to start; null while matched"),
    sa.Column("started_at", sa.BigInteger, nullable=True, comment="since when it is billed; null: it never ran"),
    sa.Column("notice_at", sa.BigInteger, nullable=True, comment="when it was told to go"),
    sa.Column("stop_at", sa.BigInteger, nullable=True, comment="then it is killed; null while it is wanted"),
    sa.Column("overdue_at", sa.BigInteger, nullable=True, comment="when its ttl is over; null: none, or not running"),
    sa.Column("ended_at", sa.BigInteger, nullable=True, comment="null while it is open"),
    sa.Column("exit_code", sa.Integer, nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False, comment="how often its start was tried on this node"),
    sa.Column("try_at", sa.BigInteger, nullable=True, comment="not to be tried again before; null: at once"),
    sa.Column("is_clean", sa.SmallInteger, nullable=False, comment="1: container and address are given back"),
    # What it is charged by, as its bid and pool were at the match; metering tells how.
    sa.Column("size", sa.BigInteger, nullable=False, comment="in parts of a unit"),
    sa.Column("parts", sa.BigInteger, nullable=False, comment="parts of a unit"),
    sa.Column("max_price_micros_per_hour", sa.BigInteger, nullable=False, comment="the bid's, amended with it"),
    sa.Column("pricing", sa.Text, nullable=False, comment="the pool's rule"),
    sa.Column("metered_until", sa.BigInteger, nullable=True, comment="up to when it is charged; null: it never ran"),
    sa.Column("charged_micros", sa.BigInteger, nullable=False, comment="what it has cost up to then"),
    sa.Column("remainder", sa.BigInteger, nullable=False, comment="a micro-credit's fraction, of parts x an hour"),
    sa.Column("paid_micros", sa.BigInteger, nullable=False, comment="of the charge, what has left the wallet"),
    sa.Column("line_from_at", sa.BigInteger, nullable=True, comment="the bill's last line: since when"),
    sa.Column("line_unit_price_micros", sa.BigInteger, nullable=True, comment="the price of a unit in it"),
    sa.Column("line_charged_micros", sa.BigInteger, nullable=False, comment="what it amounts to up to metered_until"),
    sa.Column("settle_at", sa.BigInteger, nullable=True, comment="when it is to be charged next; null: not running"),
    sa.Column("is_low", sa.SmallInteger, nullable=False, comment="1: its member was told that money runs out"),
    sa.Column("changed_seq", sa.BigInteger, nullable=False),
    sa.CheckConstraint(_one_of("state", LEASE_STATES), name="state_known"),
    sa.CheckConstraint("(ended_at IS NOT NULL) = (state = 'ended')", name="ended_at_its_end"),
    sa.CheckConstraint("ended_at >= started_at", name="ended_after_its_start"),
    sa.CheckConstraint("(stop_at IS NULL) OR (cause IS NOT NULL)", name="stopped_for_a_cause"),
    sa.CheckConstraint("(metered_until IS NULL) = (started_at IS NULL)", name="metered_once_started"),
    sa.CheckConstraint("metered_until >= started_at", name="metered_from_its_start"),
    sa.CheckConstraint("size >= 1 AND parts >= 1 AND remainder >= 0", name="metered_exactly"),
    sa.CheckConstraint(
        "0 <= line_charged_micros AND line_charged_micros <= charged_micros AND 0 <= paid_micros "
        "AND paid_micros <= charged_micros",
        name="paid_within_charge",
    ),
    sa.CheckConstraint("is_clean IN (0, 1) AND is_low IN (0, 1)", name="flags"),
    sa.CheckConstraint("is_clean = 0 OR state = 'ended'", name="cleaned_after_its_end"),
    sa.ForeignKeyConstraint(["pool", "bid_id"], ["spot_bids.pool", "spot_bids.bid_id"], name="leases_bid_fkey"),
    sa.ForeignKeyConstraint(["pool", "node"], ["nodes.pool", "nodes.node"], name="leases_node_fkey"),
    sa.UniqueConstraint("lease_id", name="leases_lease_id_key"),
    # A bid runs once at a time, whoever writes.
    sa.Index(
        "leases_one_open_a_bid", "pool", "bid_id", unique=True, postgresql_where=_OPEN_LEASE, sqlite_where=_OPEN_LEASE
    ),
    sa.Index("leases_by_bid", "pool", "bid_id", "lease_id"),
    # What a node has to do: everything that is open, or not cleaned up.
    sa.Index(
        "leases_of_node",
        "pool",
        "node",
        "lease_id",
        postgresql_where=sa.text("is_clean = 0"),
        sqlite_where=sa.text("is_clean = 0"),
    ),
    # What is to be charged next; a member's come together.
    sa.Index(
        "leases_to_settle",
        "settle_at",
        "username",
        "lease_id",
        postgresql_where=sa.text("settle_at IS NOT NULL"),
        sqlite_where=sa.text("settle_at IS NOT NULL"),
    ),
    # Those that have run as long as they may.
    sa.Index(
        "leases_overdue",
        "overdue_at",
        "lease_id",
        postgresql_where=sa.text("overdue_at IS NOT NULL"),
        sqlite_where=sa.text("overdue_at IS NOT NULL"),
    ),
    # What a member runs, for what it costs together, however much the member ran before.
    sa.Index(
        "leases_running_by_owner",
        "username",
        "lease_id",
        postgresql_where=sa.text("settle_at IS NOT NULL"),
        sqlite_where=sa.text("settle_at IS NOT NULL"),
    ),
    # A member's bills.
    sa.Index("leases_by_owner", "username", "lease_id"),
    comment="a bid's place on a node: what runs, ran or is to run there",
    sqlite_with_rowid=False,
)

spot_prices = sa.Table(
    "spot_prices",
    metadata,
    sa.Column("pool", sa.Text, sa.ForeignKey("pools.pool"), primary_key=True),
    sa.Column("from_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("to_at", sa.BigInteger, nullable=True, comment="null: it goes on"),
    sa.Column("unit_price_micros_per_hour", sa.BigInteger, nullable=False),
    sa.CheckConstraint("to_at > from_at", name="lasts"),
    sa.CheckConstraint(f"unit_price_micros_per_hour BETWEEN 0 AND {MAX_PRICE_MICROS * 10_000}", name="price_bounded"),
    sa.Index(
        "spot_prices_current",
        "pool",
        unique=True,
        postgresql_where=sa.text("to_at IS NULL"),
        sqlite_where=sa.text("to_at IS NULL"),
    ),
    comment="what a unit cost, as intervals without gaps from the pool's opening on",
    sqlite_with_rowid=False,
)

lease_lines = sa.Table(
    "lease_lines",
    metadata,
    sa.Column("pool", sa.Text, primary_key=True),
    sa.Column("lease_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("from_at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("to_at", sa.BigInteger, nullable=False),
    sa.Column("unit_price_micros_per_hour", sa.BigInteger, nullable=False),
    sa.Column("charged_micros", sa.BigInteger, nullable=False),
    sa.CheckConstraint("to_at > from_at", name="lasts"),
    sa.CheckConstraint("charged_micros >= 0", name="charged_not_negative"),
    sa.ForeignKeyConstraint(["pool", "lease_id"], ["leases.pool", "leases.lease_id"], name="lease_lines_lease_fkey"),
    comment="lines of bills that will not change any more; the last one of a lease is in its own row",
    sqlite_with_rowid=False,
)
