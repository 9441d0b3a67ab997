"""Open the spot market: pools with their nodes and prices, bids, leases and what these cost."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

FROM_THE_START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z, the same on every database
A_HUNDREDTH = 10_000  # of a credit

DEFAULT = {
    "pool": "default",
    "unit_cpu_millis": 1_000,
    "unit_memory_mib": 2_048,
    "reserve_micros_per_hour": A_HUNDREDTH,
    "pricing": "uniform",
    "margin_basis_points": 500,
    "minimum_runtime_seconds": 60,
    "notice_seconds": 120,
    "shortest_notice_seconds": 0,
    "longest_notice_seconds": 600,
    "backoff_seconds": 60,
    "max_backoff_seconds": 3_600,
    "images": "[]",
    "needs_digest": 0,
    "max_cpu_millis": None,
    "max_memory_mib": None,
    "network": None,
    "opened_at": FROM_THE_START,
    "changed_seq": 0,
    "taken_seq": 0,
    "opened_seq": 0,
}
FIRST_PRICE = {
    "pool": "default",
    "from_at": FROM_THE_START,
    "to_at": None,
    "unit_price_micros_per_hour": A_HUNDREDTH,
}


def upgrade() -> None:
    create_pools()
    create_nodes()
    create_bids()
    create_prices()
    create_leases()
    create_lines()


def where(condition: str) -> dict[str, Any]:
    """Make an index a partial one, on both engines."""
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def create_pools() -> None:
    pools = op.create_table(
        "pools",
        sa.Column("pool", sa.Text, nullable=False, comment="its name, as default"),
        sa.Column("unit_cpu_millis", sa.Integer, nullable=False, comment="millis of vCPU in a unit"),
        sa.Column("unit_memory_mib", sa.Integer, nullable=False, comment="MiB of memory in a unit"),
        sa.Column("reserve_micros_per_hour", sa.BigInteger, nullable=False, comment="the least that a unit costs"),
        sa.Column("pricing", sa.Text, nullable=False, comment="name of the pricing rule: uniform, pay_as_bid, …"),
        sa.Column("margin_basis_points", sa.Integer, nullable=False, comment="to be exceeded by more than this"),
        sa.Column("minimum_runtime_seconds", sa.Integer, nullable=False, comment="nobody is displaced earlier"),
        sa.Column(
            "notice_seconds", sa.Integer, nullable=False, comment="from the notice to the end, unless wished for"
        ),
        sa.Column("shortest_notice_seconds", sa.Integer, nullable=False, comment="bounds of the wish"),
        sa.Column("longest_notice_seconds", sa.Integer, nullable=False),
        sa.Column(
            "backoff_seconds", sa.Integer, nullable=False, comment="before a bid is queued again: this, twice, …"
        ),
        sa.Column("max_backoff_seconds", sa.Integer, nullable=False),
        sa.Column("images", sa.Text, nullable=False, comment="JSON: patterns of images that may run; [] for any"),
        sa.Column("needs_digest", sa.SmallInteger, nullable=False, comment="1: images are named by @sha256 only"),
        sa.Column("max_cpu_millis", sa.Integer, nullable=True, comment="of one lease; null: what a node has"),
        sa.Column("max_memory_mib", sa.Integer, nullable=True, comment="of one lease; null: what a node has"),
        sa.Column(
            "network", sa.Text, nullable=True, comment="where leases get their addresses from; null: they get none"
        ),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("changed_seq", sa.BigInteger, nullable=False, comment="entry that changed the settings last"),
        sa.Column(
            "taken_seq", sa.BigInteger, nullable=False, comment="last entry that took away what a plan may rely on"
        ),
        sa.Column("opened_seq", sa.BigInteger, nullable=False, comment="last entry that opened room"),
        sa.CheckConstraint(
            "0 <= shortest_notice_seconds AND shortest_notice_seconds <= notice_seconds "
            "AND notice_seconds <= longest_notice_seconds AND longest_notice_seconds <= 3600",
            name=op.f("pools_notice_bounded"),
        ),
        sa.CheckConstraint(
            "1 <= backoff_seconds AND backoff_seconds <= max_backoff_seconds AND max_backoff_seconds <= 86400",
            name=op.f("pools_backoff_bounded"),
        ),
        sa.CheckConstraint("length(pool) BETWEEN 1 AND 64", name=op.f("pools_pool_length")),
        sa.CheckConstraint("margin_basis_points BETWEEN 0 AND 100000", name=op.f("pools_margin_bounded")),
        sa.CheckConstraint("minimum_runtime_seconds BETWEEN 0 AND 86400", name=op.f("pools_minimum_runtime_bounded")),
        sa.CheckConstraint("needs_digest IN (0, 1)", name=op.f("pools_needs_digest_is_a_flag")),
        sa.CheckConstraint("reserve_micros_per_hour BETWEEN 0 AND 1000000000000", name=op.f("pools_reserve_bounded")),
        sa.CheckConstraint(
            "unit_cpu_millis >= 1 AND unit_memory_mib >= 1 AND "
            "CAST(unit_cpu_millis AS BIGINT) * unit_memory_mib <= 2147483648",
            name=op.f("pools_unit_bounded"),
        ),
        sa.PrimaryKeyConstraint("pool", name=op.f("pools_pkey")),
        comment="a market of nodes and bids by itself, with its own price; `default` is there from the start",
        sqlite_with_rowid=False,
    )
    op.bulk_insert(pools, [DEFAULT])


def create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("node", sa.Text, nullable=False, comment="its name"),
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
        sa.CheckConstraint("state IN ('ready', 'cordoned', 'draining', 'lost')", name=op.f("nodes_state_known")),
        sa.CheckConstraint("(claim IS NULL) = (claimed_until IS NULL)", name=op.f("nodes_claimed_by_somebody")),
        sa.CheckConstraint("cpu_millis BETWEEN 0 AND 1000000000", name=op.f("nodes_cpu_bounded")),
        sa.CheckConstraint("length(node) BETWEEN 1 AND 64", name=op.f("nodes_node_length")),
        sa.CheckConstraint("length(owner) BETWEEN 1 AND 26", name=op.f("nodes_owner_length")),
        sa.CheckConstraint("length(provider) BETWEEN 1 AND 128", name=op.f("nodes_provider_length")),
        sa.CheckConstraint("memory_mib BETWEEN 0 AND 1000000000", name=op.f("nodes_memory_bounded")),
        sa.ForeignKeyConstraint(["pool"], ["pools.pool"], name=op.f("nodes_pool_fkey")),
        sa.PrimaryKeyConstraint("pool", "node", name=op.f("nodes_pkey")),
        sa.UniqueConstraint("owner", name="nodes_owner_key"),
        comment="machines that run leases, each by a backend",
        sqlite_with_rowid=False,
    )
    op.create_index("nodes_changed", "nodes", ["pool", "changed_seq", "node"])


def rules_of_bids() -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(
            "(ended_at IS NULL) = (state IN ('submitted', 'matched', 'starting', 'running', 'evicting'))",
            name=op.f("spot_bids_ended_once_it_is_over"),
        ),
        sa.CheckConstraint(
            "(lease_id IS NOT NULL) = (state IN ('matched', 'starting', 'running', 'evicting'))",
            name=op.f("spot_bids_leased_while_placed"),
        ),
        sa.CheckConstraint("on_eviction IN ('terminate', 'requeue')", name=op.f("spot_bids_on_eviction_known")),
        sa.CheckConstraint(
            "state IN ('submitted', 'matched', 'starting', 'running', 'evicting', 'evicted', 'completed', 'cancelled', "
            "'failed')",
            name=op.f("spot_bids_state_known"),
        ),
        sa.CheckConstraint("(ended_at IS NULL) = (hold_id IS NOT NULL)", name=op.f("spot_bids_held_for_while_open")),
        sa.CheckConstraint("(hold_id IS NULL) = (held_micros IS NULL)", name=op.f("spot_bids_held_amount_of_a_hold")),
        sa.CheckConstraint("budget_micros >= 1", name=op.f("spot_bids_budget_positive")),
        sa.CheckConstraint("cpu_millis >= 10", name=op.f("spot_bids_cpu_bounded")),
        sa.CheckConstraint(
            "evictions >= 0 AND failures >= 0 AND charged_micros >= 0", name=op.f("spot_bids_counts_not_negative")
        ),
        sa.CheckConstraint("length(command) <= 65536", name=op.f("spot_bids_command_length")),
        sa.CheckConstraint("length(image) BETWEEN 1 AND 255", name=op.f("spot_bids_image_length")),
        sa.CheckConstraint("length(username) BETWEEN 1 AND 128", name=op.f("spot_bids_username_length")),
        sa.CheckConstraint("max_preemptions >= 0", name=op.f("spot_bids_max_preemptions_not_negative")),
        sa.CheckConstraint(
            "max_price_micros_per_hour BETWEEN 1 AND 1000000000000", name=op.f("spot_bids_max_price_bounded")
        ),
        sa.CheckConstraint("memory_mib >= 16", name=op.f("spot_bids_memory_bounded")),
        sa.CheckConstraint("notice_seconds BETWEEN 0 AND 3600", name=op.f("spot_bids_notice_bounded")),
        sa.CheckConstraint("ttl_seconds BETWEEN 1 AND 315360000", name=op.f("spot_bids_ttl_bounded")),
    ]


def create_bids() -> None:
    op.create_table(
        "spot_bids",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("bid_id", sa.BigInteger, autoincrement=False, nullable=False, comment="seq of its submission"),
        sa.Column("username", sa.Text, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("command", sa.Text, nullable=False, comment="JSON: list of words; [] for the image's own"),
        sa.Column("environment", sa.Text, nullable=False, comment="JSON: object of variables"),
        sa.Column("cpu_millis", sa.Integer, nullable=False),
        sa.Column("memory_mib", sa.Integer, nullable=False),
        sa.Column("max_price_micros_per_hour", sa.BigInteger, nullable=False, comment="for the whole container"),
        sa.Column("ttl_seconds", sa.BigInteger, nullable=True, comment="how long it may run; null: until stopped"),
        sa.Column("on_eviction", sa.Text, nullable=False, comment="terminate or requeue"),
        sa.Column(
            "expires_at", sa.BigInteger, nullable=True, comment="a bid that waits then is cancelled; null: never"
        ),
        sa.Column(
            "budget_micros", sa.BigInteger, nullable=True, comment="what all its leases may cost; null: no bound"
        ),
        sa.Column("max_preemptions", sa.Integer, nullable=True, comment="evicted more often it is not queued again"),
        sa.Column("notice_seconds", sa.Integer, nullable=True, comment="the notice it wishes for; null: the pool's"),
        sa.Column(
            "state", sa.Text, nullable=False, comment="see BID_STATES; a lease that is stopping is still running"
        ),
        sa.Column("cause", sa.Text, nullable=True, comment="why it is in this state, as a word: evicted, ttl, …"),
        sa.Column("reason", sa.Text, nullable=True, comment="the same as a sentence"),
        sa.Column(
            "queue_seq", sa.BigInteger, nullable=False, comment="its place among equal prices: seq that queued it"
        ),
        sa.Column(
            "not_before", sa.BigInteger, nullable=True, comment="queued again, but not tried before; null: at once"
        ),
        sa.Column("avoids", sa.Text, nullable=False, comment="JSON: nodes where its start has failed"),
        sa.Column("evictions", sa.Integer, nullable=False, comment="how often it was displaced"),
        sa.Column("failures", sa.Integer, nullable=False, comment="how often its start has failed, or it vanished"),
        sa.Column("hold_id", sa.BigInteger, nullable=True, comment="money set aside for it; null once it has ended"),
        sa.Column("held_micros", sa.BigInteger, nullable=True, comment="how much"),
        sa.Column("charged_micros", sa.BigInteger, nullable=False, comment="what its ended leases have cost"),
        sa.Column(
            "lease_id", sa.BigInteger, nullable=True, comment="of its open lease; null while it waits or is over"
        ),
        sa.Column("submitted_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True, comment="null while it is open"),
        sa.Column("changed_seq", sa.BigInteger, nullable=False),
        *rules_of_bids(),
        sa.ForeignKeyConstraint(["pool"], ["pools.pool"], name=op.f("spot_bids_pool_fkey")),
        sa.PrimaryKeyConstraint("pool", "bid_id", name=op.f("spot_bids_pkey")),
        sa.UniqueConstraint("bid_id", name="spot_bids_bid_id_key"),
        comment="containers that somebody wants to run",
        sqlite_with_rowid=False,
    )
    op.create_index("spot_bids_by_owner", "spot_bids", ["username", "bid_id"])
    op.create_index("spot_bids_changed", "spot_bids", ["pool", "changed_seq", "bid_id"])
    op.create_index(
        "spot_bids_expiring",
        "spot_bids",
        ["expires_at", "bid_id"],
        **where("state = 'submitted' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "spot_bids_open",
        "spot_bids",
        ["pool", "bid_id"],
        **where("state IN ('submitted', 'matched', 'starting', 'running', 'evicting')"),
    )


def create_prices() -> None:
    spot_prices = op.create_table(
        "spot_prices",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("from_at", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("to_at", sa.BigInteger, nullable=True, comment="null: it goes on"),
        sa.Column("unit_price_micros_per_hour", sa.BigInteger, nullable=False),
        sa.CheckConstraint("to_at > from_at", name=op.f("spot_prices_lasts")),
        sa.CheckConstraint(
            "unit_price_micros_per_hour BETWEEN 0 AND 10000000000000000", name=op.f("spot_prices_price_bounded")
        ),
        sa.ForeignKeyConstraint(["pool"], ["pools.pool"], name=op.f("spot_prices_pool_fkey")),
        sa.PrimaryKeyConstraint("pool", "from_at", name=op.f("spot_prices_pkey")),
        comment="what a unit cost, as intervals without gaps from the pool's opening on",
        sqlite_with_rowid=False,
    )
    op.create_index("spot_prices_current", "spot_prices", ["pool"], unique=True, **where("to_at IS NULL"))
    op.bulk_insert(spot_prices, [FIRST_PRICE])


def rules_of_leases() -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint("(ended_at IS NOT NULL) = (state = 'ended')", name=op.f("leases_ended_at_its_end")),
        sa.CheckConstraint("is_clean = 0 OR state = 'ended'", name=op.f("leases_cleaned_after_its_end")),
        sa.CheckConstraint(
            "state IN ('matched', 'starting', 'running', 'evicting', 'stopping', 'ended')",
            name=op.f("leases_state_known"),
        ),
        sa.CheckConstraint("(metered_until IS NULL) = (started_at IS NULL)", name=op.f("leases_metered_once_started")),
        sa.CheckConstraint("(stop_at IS NULL) OR (cause IS NOT NULL)", name=op.f("leases_stopped_for_a_cause")),
        sa.CheckConstraint(
            "0 <= line_charged_micros AND line_charged_micros <= charged_micros AND 0 <= paid_micros "
            "AND paid_micros <= charged_micros",
            name=op.f("leases_paid_within_charge"),
        ),
        sa.CheckConstraint("ended_at >= started_at", name=op.f("leases_ended_after_its_start")),
        sa.CheckConstraint("is_clean IN (0, 1) AND is_low IN (0, 1)", name=op.f("leases_flags")),
        sa.CheckConstraint("metered_until >= started_at", name=op.f("leases_metered_from_its_start")),
        sa.CheckConstraint("size >= 1 AND parts >= 1 AND remainder >= 0", name=op.f("leases_metered_exactly")),
    ]


def what_a_lease_costs() -> list[sa.Column[Any]]:
    return [
        sa.Column("size", sa.BigInteger, nullable=False, comment="in parts of a unit"),
        sa.Column("parts", sa.BigInteger, nullable=False, comment="parts of a unit"),
        sa.Column("max_price_micros_per_hour", sa.BigInteger, nullable=False, comment="the bid's, amended with it"),
        sa.Column("pricing", sa.Text, nullable=False, comment="the pool's rule"),
        sa.Column(
            "metered_until", sa.BigInteger, nullable=True, comment="up to when it is charged; null: it never ran"
        ),
        sa.Column("charged_micros", sa.BigInteger, nullable=False, comment="what it has cost up to then"),
        sa.Column("remainder", sa.BigInteger, nullable=False, comment="a micro-credit's fraction, of parts x an hour"),
        sa.Column("paid_micros", sa.BigInteger, nullable=False, comment="of the charge, what has left the wallet"),
        sa.Column("line_from_at", sa.BigInteger, nullable=True, comment="the bill's last line: since when"),
        sa.Column("line_unit_price_micros", sa.BigInteger, nullable=True, comment="the price of a unit in it"),
        sa.Column(
            "line_charged_micros", sa.BigInteger, nullable=False, comment="what it amounts to up to metered_until"
        ),
        sa.Column(
            "settle_at", sa.BigInteger, nullable=True, comment="when it is to be charged next; null: not running"
        ),
        sa.Column("is_low", sa.SmallInteger, nullable=False, comment="1: its member was told that money runs out"),
    ]


def create_leases() -> None:
    op.create_table(
        "leases",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("lease_id", sa.BigInteger, autoincrement=False, nullable=False, comment="seq of the match"),
        sa.Column("bid_id", sa.BigInteger, nullable=False),
        sa.Column("username", sa.Text, nullable=False, comment="the bid's"),
        sa.Column("node", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False, comment="see LEASE_STATES; matched: waits for its victims to go"),
        sa.Column(
            "cause", sa.Text, nullable=True, comment="why it has to go or went, as a word; null while it is wanted"
        ),
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
        sa.Column(
            "overdue_at", sa.BigInteger, nullable=True, comment="when its ttl is over; null: none, or not running"
        ),
        sa.Column("ended_at", sa.BigInteger, nullable=True, comment="null while it is open"),
        sa.Column("exit_code", sa.Integer, nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False, comment="how often its start was tried on this node"),
        sa.Column("try_at", sa.BigInteger, nullable=True, comment="not to be tried again before; null: at once"),
        sa.Column("is_clean", sa.SmallInteger, nullable=False, comment="1: container and address are given back"),
        *what_a_lease_costs(),
        sa.Column("changed_seq", sa.BigInteger, nullable=False),
        *rules_of_leases(),
        sa.ForeignKeyConstraint(["pool", "bid_id"], ["spot_bids.pool", "spot_bids.bid_id"], name="leases_bid_fkey"),
        sa.ForeignKeyConstraint(["pool", "node"], ["nodes.pool", "nodes.node"], name="leases_node_fkey"),
        sa.PrimaryKeyConstraint("pool", "lease_id", name=op.f("leases_pkey")),
        sa.UniqueConstraint("lease_id", name="leases_lease_id_key"),
        comment="a bid's place on a node: what runs, ran or is to run there",
        sqlite_with_rowid=False,
    )
    op.create_index("leases_by_bid", "leases", ["pool", "bid_id", "lease_id"])
    op.create_index("leases_by_owner", "leases", ["username", "lease_id"])
    op.create_index("leases_of_node", "leases", ["pool", "node", "lease_id"], **where("is_clean = 0"))
    op.create_index("leases_one_open_a_bid", "leases", ["pool", "bid_id"], unique=True, **where("state <> 'ended'"))
    op.create_index("leases_running_by_owner", "leases", ["username", "lease_id"], **where("settle_at IS NOT NULL"))
    op.create_index("leases_overdue", "leases", ["overdue_at", "lease_id"], **where("overdue_at IS NOT NULL"))
    op.create_index(
        "leases_to_settle", "leases", ["settle_at", "username", "lease_id"], **where("settle_at IS NOT NULL")
    )


def create_lines() -> None:
    op.create_table(
        "lease_lines",
        sa.Column("pool", sa.Text, nullable=False),
        sa.Column("lease_id", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("from_at", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("to_at", sa.BigInteger, nullable=False),
        sa.Column("unit_price_micros_per_hour", sa.BigInteger, nullable=False),
        sa.Column("charged_micros", sa.BigInteger, nullable=False),
        sa.CheckConstraint("charged_micros >= 0", name=op.f("lease_lines_charged_not_negative")),
        sa.CheckConstraint("to_at > from_at", name=op.f("lease_lines_lasts")),
        sa.ForeignKeyConstraint(
            ["pool", "lease_id"], ["leases.pool", "leases.lease_id"], name="lease_lines_lease_fkey"
        ),
        sa.PrimaryKeyConstraint("pool", "lease_id", "from_at", name=op.f("lease_lines_pkey")),
        comment="lines of bills that will not change any more; the last one of a lease is in its own row",
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("lease_lines", "leases", "spot_prices", "spot_bids", "nodes", "pools"):
        op.drop_table(table)
