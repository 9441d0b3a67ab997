"""Hold the auctions to their rules: triggers that let no statement break logs, deposits and what is over."""

# ruff: noqa: S608 (every piece of these texts stands in this file)

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def on_postgres() -> bool:
    return op.get_context().dialect.name == "postgresql"


def upgrade() -> None:
    for statement in POSTGRES if on_postgres() else SQLITE:
        op.execute(statement)


# ── what never changes ───────────────────────────────────────────────────────────────────────────────────────────────

ALL = ("log", "batches", "deposits", "descriptions", "orders", "bids", "commitments", "books", "solvers")
ONLY_ADDED_TO = ALL[:4]
KEY = "book, commitment_id"
# Tables whose rows change until they are over: their state while they are not, and what stays as it was made.
KEPT = {
    "orders": (
        "state IN ('pending', 'open', 'committed')",
        "book, order_id, owner, output_asset, limit_output, input_asset, input_budget, hold_id, placed_at, expires_at",
    ),
    "commitments": (
        "state = 'live'",
        "book, commitment_id, order_id, bid_id, solver, input_amount, min_output, escrow, deadline, ends_at, bond",
    ),
}

# ── Postgres: what a statement wrote, at once ────────────────────────────────────────────────────────────────────────

REFUSE = "RAISE check_violation USING CONSTRAINT = '{0}', MESSAGE = '{0}'"
STAY = """
CREATE FUNCTION auction_rows_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING TABLE = TG_TABLE_NAME, MESSAGE = TG_TABLE_NAME || ' are never changed or deleted';
END $$
"""
DENSE = f"""
CREATE FUNCTION auction_log_without_gaps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT book, min(log_offset) AS lowest, max(log_offset) AS highest, count(*) AS added
              FROM written GROUP BY book
        ) AS sums WHERE highest <> lowest + added - 1 OR lowest <> coalesce((
            SELECT max(log_offset) FROM auction_log WHERE auction_log.book = sums.book AND log_offset < lowest
        ), -1) + 1
    ) THEN
        {REFUSE.format("auction_log_without_gaps")};
    END IF;
    RETURN NULL;
END $$
"""
# The one way by which `deposited` changes. Each commitment is looked up by its key, whatever the planner believes.
POST = f"""
CREATE FUNCTION auction_deposits_post() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    wanted bigint; found bigint;
BEGIN
    SELECT count(DISTINCT (book, commitment_id)) INTO wanted FROM written;
    UPDATE auction_commitments AS one
       SET deposited = deposited + amount, deposits = deposits + added,
           due_at = CASE WHEN deposited + amount >= min_output THEN least(due_at, at) ELSE due_at END
      FROM (
        SELECT book, commitment_id, sum(amount)::bigint AS amount, count(*) AS added, max(at) AS at
          FROM written GROUP BY book, commitment_id
      ) AS sums
     WHERE (one.book, one.commitment_id) = (sums.book, sums.commitment_id)
       AND state = 'live' AND escrow = 'ledger' AND at < ends_at;
    GET DIAGNOSTICS found = ROW_COUNT;
    IF found <> wanted THEN
        {REFUSE.format("auction_deposits_in_time")};
    END IF;
    RETURN NULL;
END $$
"""


def keep(table: str, going_on: str, columns: str) -> str:
    changed = "EXISTS (SELECT {0} FROM before EXCEPT SELECT {0} FROM written)"
    broken = f"EXISTS (SELECT FROM before WHERE NOT {going_on}) OR {changed.format(columns)}"
    if table == "commitments":  # depth 1 is a statement of somebody's own; deeper is what a deposit does
        broken += f"\n       OR (pg_trigger_depth() = 1 AND {changed.format(f'{KEY}, deposited, deposits')})"
    return f"""
CREATE FUNCTION auction_{table}_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {broken} THEN
        {REFUSE.format(f"auction_{table}_keep")};
    END IF;
    RETURN NULL;
END $$
"""


def trigger(name: str, when: str, function: str) -> str:
    return f"CREATE TRIGGER {name} {when} FOR EACH STATEMENT EXECUTE FUNCTION {function}()"


WRITTEN = "REFERENCING NEW TABLE AS written"
POSTGRES = (
    STAY,
    *(
        trigger(
            f"auction_{table}_stay",
            f"BEFORE {'UPDATE OR ' if table in ONLY_ADDED_TO else ''}DELETE OR TRUNCATE ON auction_{table}",
            "auction_rows_stay",
        )
        for table in ALL
    ),
    DENSE,
    trigger("auction_log_dense", f"AFTER INSERT ON auction_log {WRITTEN}", "auction_log_without_gaps"),
    POST,
    trigger("auction_deposits_post", f"AFTER INSERT ON auction_deposits {WRITTEN}", "auction_deposits_post"),
    *(keep(table, *kept) for table, kept in KEPT.items()),
    *(
        trigger(
            f"auction_{table}_keep",
            f"AFTER UPDATE ON auction_{table} {WRITTEN} OLD TABLE AS before",
            f"auction_{table}_keep",
        )
        for table in KEPT
    ),
)


# ── SQLite: row by row ───────────────────────────────────────────────────────────────────────────────────────────────


def guard(name: str, event: str, **broken: str) -> str:
    """Make a trigger that refuses what would break a rule, given as rule=condition; OR IGNORE does not pass it over."""
    steps = "".join(f"\n    SELECT RAISE(ABORT, '{rule}') WHERE {condition};" for rule, condition in broken.items())
    return f"CREATE TRIGGER {name} BEFORE {event} BEGIN{steps}\nEND"


def keep_row(table: str, going_on: str, columns: str) -> str:
    changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in columns.split(", "))
    miscounted = ""
    if table == "commitments":
        miscounted = """ OR ((NEW.deposited, NEW.deposits) <> (OLD.deposited, OLD.deposits)
        AND (NEW.deposited, NEW.deposits) <> (SELECT coalesce(sum(amount), 0), count(*) FROM auction_deposits
         WHERE book = OLD.book AND commitment_id = OLD.commitment_id))"""
    over = f"NOT OLD.{going_on}"
    rule = {f"auction_{table}_keep": f"{over} OR {changed}{miscounted}"}
    return guard(f"auction_{table}_keep", f"UPDATE ON auction_{table}", **rule)


THE_COMMITMENT = "book = NEW.book AND commitment_id = NEW.commitment_id"
SQLITE = (
    *(
        guard(
            f"auction_{table}_no_{event}",
            f"{event} ON auction_{table}",
            **{f"auction_{table} are never changed or deleted": "true"},
        )
        for table in ALL
        for event in ("UPDATE", "DELETE")
        if event == "DELETE" or table in ONLY_ADDED_TO
    ),
    guard(
        "auction_log_dense",
        "INSERT ON auction_log",
        auction_log_without_gaps="""NEW.log_offset IS NOT
        coalesce((SELECT max(log_offset) FROM auction_log WHERE book = NEW.book), -1) + 1""",
    ),
    # OR REPLACE would delete what is in its way without asking the triggers of that.
    guard(
        "auction_deposits_in_time",
        "INSERT ON auction_deposits",
        auction_deposits_in_time=f"""NOT EXISTS (SELECT 1 FROM auction_commitments WHERE {THE_COMMITMENT}
        AND state = 'live' AND escrow = 'ledger' AND NEW.at < ends_at)""",
        auction_deposits_pkey=f"""EXISTS (SELECT 1 FROM auction_deposits WHERE {THE_COMMITMENT}
        AND (hold_id = NEW.hold_id OR reference = NEW.reference))""",
    ),
    f"""
CREATE TRIGGER auction_deposits_post AFTER INSERT ON auction_deposits BEGIN
    UPDATE auction_commitments
       SET deposited = deposited + NEW.amount, deposits = deposits + 1,
           due_at = CASE WHEN deposited + NEW.amount >= min_output THEN min(due_at, NEW.at) ELSE due_at END
     WHERE {THE_COMMITMENT};
END""",
    *(keep_row(table, *kept) for table, kept in KEPT.items()),
)
SQLITE_NAMES = tuple(statement.split()[2] for statement in SQLITE)


def downgrade() -> None:
    if on_postgres():
        for function in ("rows_stay", "log_without_gaps", "deposits_post", "orders_keep", "commitments_keep"):
            op.execute(f"DROP FUNCTION auction_{function}() CASCADE")
        return
    for name in SQLITE_NAMES:
        op.execute(f"DROP TRIGGER {name}")
