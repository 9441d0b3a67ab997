"""Open the auctions: books, orders, sealed bids, commitments, deposits and logs."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0012"
branch_labels = None
depends_on = None

MAX = 10**15
SECOND = 1_000_000
FROM_THE_START = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z, the same on every database


def upgrade() -> None:
    create_books()
    create_orders()
    create_descriptions()
    create_bids()
    create_commitments()
    create_deposits()
    create_batches()
    create_log()
    create_solvers()


def text(name: str, comment: str | None = None, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, comment=comment)


def number(name: str, comment: str | None = None, *, null: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, autoincrement=False, comment=comment)


def checks(table: str, **rules: str) -> list[sa.CheckConstraint]:
    return [sa.CheckConstraint(rule, name=op.f(f"{table}_{name}")) for name, rule in rules.items()]


def where(condition: str) -> dict[str, Any]:
    return dict.fromkeys(("postgresql_where", "sqlite_where"), sa.text(condition))


def create_books() -> None:
    books = op.create_table(
        "auction_books",
        text("book", "its name"),
        number("tick_micros", "a batch is formed at most once in each"),
        number("batch_size", "orders that are announced together, at most"),
        number("bidding_window_micros", "how long bids are collected before they are looked at"),
        number("fulfil_micros", "from a commitment to its deadline"),
        number("grace_micros", "how long after the deadline a deposit is still taken"),
        number("bond", "held from a solver with each commitment, in micro-credits; null: none", null=True),
        text("escrow", "ledger: solvers deposit what they deliver; claim: they say that they have"),
        number("batched_at", "when the last batch was formed; 0: never"),
        number("opened_at"),
        *checks(
            "auction_books",
            book_length="length(book) BETWEEN 1 AND 64",
            tick_micros_bounded="tick_micros BETWEEN 50000 AND 3600000000",
            batch_size_bounded="batch_size BETWEEN 1 AND 1000",
            bidding_window_micros_bounded="bidding_window_micros BETWEEN 50000 AND 604800000000",
            fulfil_micros_bounded="fulfil_micros BETWEEN 50000 AND 2592000000000",
            grace_micros_bounded="grace_micros BETWEEN 0 AND 86400000000",
            bond_bounded=f"bond BETWEEN 1 AND {MAX}",
            escrow_known="escrow IN ('ledger', 'claim')",
        ),
        sa.PrimaryKeyConstraint("book", name=op.f("auction_books_pkey")),
        comment="the auction books there are; `default` is there from the start",
        sqlite_with_rowid=False,
    )
    settings = {"tick_micros": 2, "bidding_window_micros": 5, "fulfil_micros": 10, "grace_micros": 2}
    book = {name: seconds * SECOND for name, seconds in settings.items()}
    book |= {"batch_size": 5, "batched_at": 0, "opened_at": FROM_THE_START}
    op.bulk_insert(books, [{"book": "default", "bond": None, "escrow": "ledger", **book}])


def create_orders() -> None:
    op.create_table(
        "auction_orders",
        text("book"),
        number("order_id", "seq of the command that placed it"),
        text("owner"),
        text("output_asset", "what is wanted"),
        number("output_decimals", "of that asset"),
        number("limit_output", "the least that a bid may promise; null: anything", null=True),
        text("input_asset", "what is given for it"),
        number("input_decimals", "of that asset"),
        number("input_budget", "the most that is given, held from the owner; null: what the wallet has", null=True),
        text("state", "pending, open, committed, filled, expired or cancelled"),
        number("round", "from 1, one more each time that it is reopened"),
        number("bids", "solvers that have a live bid on it"),
        number("hold_id", "the hold for the budget; null: there is none", null=True),
        number("placed_at"),
        number("added_at", "when it was announced; null: not yet", null=True),
        number("closes_at", "bids are looked at from then on; null: no window is open", null=True),
        number("expires_at", "it expires then if no solver is committed; null: never", null=True),
        number("ended_at", "null: not yet", null=True),
        text("ranking", "JSON list: valid bids of the round that was selected last, best first; null: none", null=True),
        *checks(
            "auction_orders",
            limit_output_bounded=f"limit_output BETWEEN 1 AND {MAX}",
            input_budget_bounded=f"input_budget BETWEEN 1 AND {MAX}",
            owner_length="length(owner) BETWEEN 1 AND 128",
            state_known="state IN ('pending', 'open', 'committed', 'filled', 'expired', 'cancelled')",
            ended_at_its_end="(state IN ('filled', 'expired', 'cancelled')) = (ended_at IS NOT NULL)",
            added_first="state NOT IN ('open', 'committed', 'filled') OR added_at IS NOT NULL",
            pending_until_added="state <> 'pending' OR added_at IS NULL",
            window_of_open_orders="closes_at IS NULL OR state = 'open'",
            budget_is_held="(hold_id IS NULL) = (input_budget IS NULL)",
            committed_after_ranking="state <> 'committed' OR ranking IS NOT NULL",
            expires_later="expires_at > placed_at",
            round_positive="round >= 1",
            bids_bounded="bids BETWEEN 0 AND 1000",
        ),
        sa.ForeignKeyConstraint(["book"], ["auction_books.book"], name=op.f("auction_orders_book_fkey")),
        sa.PrimaryKeyConstraint("book", "order_id", name=op.f("auction_orders_pkey")),
        comment="what members put out to auction",
        sqlite_with_rowid=False,
    )
    op.create_index("auction_orders_by_id", "auction_orders", ["order_id"], unique=True)
    op.create_index("auction_orders_by_owner", "auction_orders", ["owner", "order_id"])
    op.create_index(
        "auction_orders_closing", "auction_orders", ["book", "closes_at", "order_id"], **where("closes_at IS NOT NULL")
    )
    op.create_index(
        "auction_orders_expiring",
        "auction_orders",
        ["book", "expires_at", "order_id"],
        **where("state IN ('pending', 'open') AND expires_at IS NOT NULL"),
    )
    op.create_index("auction_orders_open", "auction_orders", ["book", "order_id"], **where("state = 'open'"))
    op.create_index("auction_orders_pending", "auction_orders", ["book", "order_id"], **where("state = 'pending'"))


def create_descriptions() -> None:
    op.create_table(
        "auction_descriptions",
        text("book"),
        number("order_id"),
        text("description"),
        text("payload", "JSON; null: none", null=True),
        *checks(
            "auction_descriptions",
            description_length="length(description) BETWEEN 1 AND 2000",
            payload_length="length(payload) <= 65536",
        ),
        sa.ForeignKeyConstraint(
            ["book", "order_id"],
            ["auction_orders.book", "auction_orders.order_id"],
            name=op.f("auction_descriptions_book_order_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("book", "order_id", name=op.f("auction_descriptions_pkey")),
        comment="what orders say in words; apart, since nothing is decided by it",
    )


def create_bids() -> None:
    op.create_table(
        "auction_bids",
        text("book"),
        number("order_id"),
        text("solver"),
        number("bid_id", "seq of the command that placed it; a newer one takes the row's place"),
        number("max_input", "the input that it asks for"),
        text("conversion_rate", "decimal text: output per input, both as whole assets"),
        number("min_output", "max_input times conversion_rate, rounded down to the unit"),
        number("valid_till"),
        text("state", "live; spent: it won and failed, or had expired when its round was looked at"),
        number("placed_at"),
        *checks(
            "auction_bids",
            max_input_bounded=f"max_input BETWEEN 1 AND {MAX}",
            min_output_bounded=f"min_output BETWEEN 1 AND {MAX}",
            solver_length="length(solver) BETWEEN 1 AND 128",
            conversion_rate_length="length(conversion_rate) BETWEEN 1 AND 31",
            valid_later="valid_till > placed_at",
            state_known="state IN ('live', 'spent')",
        ),
        sa.ForeignKeyConstraint(
            ["book", "order_id"],
            ["auction_orders.book", "auction_orders.order_id"],
            name=op.f("auction_bids_book_order_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("book", "order_id", "solver", name=op.f("auction_bids_pkey")),
        comment="the one bid that a solver has on an order; sealed until its round is selected",
        sqlite_with_rowid=False,
    )
    op.create_index("auction_bids_by_solver", "auction_bids", ["solver", "bid_id"], unique=True)


def create_commitments() -> None:
    op.create_table(
        "auction_commitments",
        text("book"),
        number("commitment_id", "seq of its entry"),
        number("order_id"),
        number("bid_id"),
        text("solver"),
        number("round", "of the order"),
        number("rank", "of the bid in that round"),
        number("input_amount", "what the solver gets"),
        number("min_output", "what it has to deliver"),
        text("escrow", "ledger or claim, as the book was set when it began"),
        number("deadline"),
        number("ends_at", "deadline and grace: from then on nothing is taken"),
        number("due_at", "a tick looks at it from then on: ends_at, or when all was delivered"),
        number("created_at"),
        number("bond", "micro-credits; null: none", null=True),
        number("bond_hold_id", "null: none", null=True),
        number("input_hold_id", "the hold for the input where the order has none; else null", null=True),
        number("deposited", "sum of the deposits"),
        number("deposits", "how many"),
        number("claimed_at", "when the solver said that it delivered; null: it did not", null=True),
        text("state", "live, filled or failed"),
        number("slashed", "of the bond, to the owner"),
        number("ended_at", "null: not yet", null=True),
        *checks(
            "auction_commitments",
            input_amount_bounded=f"input_amount BETWEEN 1 AND {MAX}",
            min_output_bounded=f"min_output BETWEEN 1 AND {MAX}",
            bond_bounded=f"bond BETWEEN 1 AND {MAX}",
            rank_positive="rank >= 1 AND round >= 1",
            escrow_known="escrow IN ('ledger', 'claim')",
            state_known="state IN ('live', 'filled', 'failed')",
            ends_later="created_at < deadline AND deadline <= ends_at",
            due_by_its_end="due_at BETWEEN created_at AND ends_at",
            bond_is_held="(bond IS NULL) = (bond_hold_id IS NULL)",
            ended_at_its_end="(state = 'live') = (ended_at IS NULL)",
            claimed_in_time="claimed_at IS NULL OR (escrow = 'claim' AND claimed_at < ends_at)",
            filled_in_full="state <> 'filled' OR claimed_at IS NOT NULL "
            "OR (escrow = 'ledger' AND deposited >= min_output)",
            failed_after_grace="state <> 'failed' OR ended_at >= ends_at",
            slashed_of_the_bond="slashed = 0 OR (state = 'failed' AND slashed BETWEEN 1 AND coalesce(bond, 0))",
            deposits_bounded="deposits BETWEEN 0 AND 32",
            deposited_not_negative="deposited >= 0",
        ),
        sa.ForeignKeyConstraint(
            ["book", "order_id"],
            ["auction_orders.book", "auction_orders.order_id"],
            name=op.f("auction_commitments_book_order_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("book", "commitment_id", name=op.f("auction_commitments_pkey")),
        comment="promises of solvers to deliver",
        sqlite_with_rowid=False,
    )
    op.create_index("auction_commitments_by_order", "auction_commitments", ["book", "order_id", "commitment_id"])
    op.create_index("auction_commitments_by_solver", "auction_commitments", ["solver", "commitment_id"])
    op.create_index(
        "auction_commitments_due", "auction_commitments", ["book", "due_at", "commitment_id"], **where("state = 'live'")
    )
    op.create_index(
        "auction_commitments_one_live",
        "auction_commitments",
        ["book", "order_id"],
        unique=True,
        **where("state = 'live'"),
    )


def create_deposits() -> None:
    op.create_table(
        "auction_deposits",
        text("book"),
        number("commitment_id"),
        number("hold_id", "on the solver's wallet, for the owner's; its end tells what became of it"),
        number("amount"),
        text("reference", "made up by the solver: the same one is carried out once; null: none", null=True),
        number("at"),
        *checks(
            "auction_deposits",
            amount_bounded=f"amount BETWEEN 1 AND {MAX}",
            reference_length="length(reference) BETWEEN 1 AND 255",
        ),
        sa.ForeignKeyConstraint(
            ["book", "commitment_id"],
            ["auction_commitments.book", "auction_commitments.commitment_id"],
            name=op.f("auction_deposits_book_commitment_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("book", "commitment_id", "hold_id", name=op.f("auction_deposits_pkey")),
        comment="what solvers have delivered into escrow; each is added to its commitment by a trigger",
        sqlite_with_rowid=False,
    )
    op.create_index(
        "auction_deposits_by_reference",
        "auction_deposits",
        ["book", "commitment_id", "reference"],
        unique=True,
        **where("reference IS NOT NULL"),
    )


def create_batches() -> None:
    op.create_table(
        "auction_batches",
        text("book"),
        text("sequencer", "who formed it"),
        number("batch_number", "of that sequencer: each is formed once"),
        number("first_offset", "in the book's log, of its first order; its own entry stands after the last one"),
        number("orders", "how many"),
        number("formed_at"),
        *checks(
            "auction_batches",
            sequencer_length="length(sequencer) BETWEEN 1 AND 128",
            numbers_not_negative="batch_number >= 0 AND first_offset >= 0 AND orders >= 1",
        ),
        sa.ForeignKeyConstraint(["book"], ["auction_books.book"], name=op.f("auction_batches_book_fkey")),
        sa.PrimaryKeyConstraint("book", "sequencer", "batch_number", name=op.f("auction_batches_pkey")),
        comment="orders that were announced together",
        sqlite_with_rowid=False,
    )
    op.create_index("auction_batches_by_offset", "auction_batches", ["book", "first_offset"], unique=True)


def create_log() -> None:
    op.create_table(
        "auction_log",
        text("book"),
        number("log_offset", "from 0, without gaps"),
        number("seq", "of the same entry in the lane's log"),
        number("at"),
        number("order_id", "null where it is about several", null=True),
        text("kind", "as OrderAdded"),
        text("data", "JSON: enough to replay it"),
        *checks(
            "auction_log",
            log_offset_not_negative="log_offset >= 0",
            seq_positive="seq >= 1",
        ),
        sa.PrimaryKeyConstraint("book", "log_offset", name=op.f("auction_log_pkey")),
        comment="what happened in a book, in order: solvers follow it, and decisions can be computed again from it",
        sqlite_with_rowid=False,
    )


def create_solvers() -> None:
    op.create_table(
        "auction_solvers",
        text("book"),
        text("solver"),
        number("filled", "commitments that it kept"),
        number("failed", "commitments that it did not keep"),
        number("window_total", "outcomes that its failure rate is taken of"),
        number("window_failures", "failures among them"),
        number("blocks", "in a row, less those that decayed"),
        number("clean_run", "fills since the last failure or decay"),
        number("blocked_until", "no bid of it is taken before; 0: never blocked"),
        *checks(
            "auction_solvers",
            counts_not_negative="filled >= 0 AND failed >= 0",
            window_adds_up="window_failures BETWEEN 0 AND window_total",
            blocks_not_negative="blocks >= 0 AND clean_run >= 0 AND blocked_until >= 0",
        ),
        sa.ForeignKeyConstraint(["book"], ["auction_books.book"], name=op.f("auction_solvers_book_fkey")),
        sa.PrimaryKeyConstraint("book", "solver", name=op.f("auction_solvers_pkey")),
        comment="how solvers have kept their word",
        sqlite_with_rowid=False,
    )
    op.create_index("auction_solvers_blocked", "auction_solvers", ["book", "blocked_until", "solver"])


def downgrade() -> None:
    for table in ("log", "batches", "deposits", "commitments", "bids", "descriptions", "solvers", "orders", "books"):
        op.drop_table(f"auction_{table}")
