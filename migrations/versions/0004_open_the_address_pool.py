"""Open the address pool: networks, their segments, addresses that are assigned, free or resting, and the history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BOOKS = ("commits", "events", "answers")
OFFSET = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def has_digits(table: str, *columns: str) -> list[sa.CheckConstraint]:
    return [
        sa.CheckConstraint(
            f"length({column}) = 32 AND ltrim({column}, '0123456789abcdef') = ''",
            name=op.f(f"{table}_{column}_is_hexadecimal"),
        )
        for column in columns
    ]


def upgrade() -> None:
    op.create_table(
        "lane_addresses",
        sa.Column("turn", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.PrimaryKeyConstraint("turn", name=op.f("lane_addresses_pkey")),
        comment="always empty: LOCK TABLE lane_addresses is the turn to write in the lane addresses",
    )
    create_networks()
    create_addresses()
    create_history()
    if op.get_context().dialect.name == "postgresql":
        for book in BOOKS:
            op.execute(f"CREATE TABLE {book}_addresses PARTITION OF {book} FOR VALUES IN ('addresses')")


def create_networks() -> None:
    op.create_table(
        "networks",
        sa.Column("network", sa.Text, primary_key=True, comment="its name"),
        sa.Column(
            "seq", sa.BigInteger, nullable=False, comment="of the command that made it; the lowest is the default"
        ),
        sa.Column("cidr", sa.Text, nullable=False, comment="canonical, as 192.168.1.0/24"),
        sa.Column("gateway", sa.Text, nullable=True, comment="one of its hosts, never given out; null: it has none"),
        sa.Column("allocation", sa.Text, nullable=False, comment="lowest or random: which free address is given out"),
        sa.Column("reuse_delay_seconds", sa.BigInteger, nullable=False, comment="how long a released address rests"),
        sa.Column("version", sa.SmallInteger, nullable=False, comment="of IP: 4 or 6"),
        sa.Column("base", OFFSET, nullable=False, comment="its first address as a number"),
        sa.Column("last", OFFSET, nullable=False, comment="its last address as a number"),
        sa.Column("total", sa.Text, nullable=False, comment="hosts, a decimal number: it may be 2^128 - 1"),
        sa.Column("reserved", sa.Text, nullable=False, comment="hosts never given out, the gateway included; decimal"),
        sa.Column("assigned", sa.BigInteger, nullable=False, comment="addresses that somebody has"),
        sa.Column("free", sa.BigInteger, nullable=False, comment="addresses that came back and can be given out"),
        sa.Column("resting", sa.BigInteger, nullable=False, comment="addresses that came back and rest"),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *has_digits("networks", "base", "last"),
        sa.CheckConstraint("base <= last", name=op.f("networks_base_before_last")),
        sa.CheckConstraint("version IN (4, 6)", name=op.f("networks_version_known")),
        sa.CheckConstraint("allocation IN ('lowest', 'random')", name=op.f("networks_allocation_known")),
        sa.CheckConstraint("reuse_delay_seconds >= 0", name=op.f("networks_reuse_delay_not_negative")),
        sa.CheckConstraint("assigned >= 0 AND free >= 0 AND resting >= 0", name=op.f("networks_counts_not_negative")),
        sa.UniqueConstraint("seq", name=op.f("networks_seq_key")),
        sa.UniqueConstraint("version", "base", name=op.f("networks_version_base_key")),
        sa.PrimaryKeyConstraint("network", name=op.f("networks_pkey")),
        comment="the networks there are; no two overlap",
    )
    op.create_table(
        "reserved_ranges",
        sa.Column("network", sa.Text, primary_key=True),
        sa.Column("first_offset", OFFSET, primary_key=True),
        sa.Column("last_offset", OFFSET, nullable=False),
        *has_digits("reserved_ranges", "first_offset", "last_offset"),
        sa.CheckConstraint("first_offset <= last_offset", name=op.f("reserved_ranges_first_before_last")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("reserved_ranges_network_fkey")),
        sa.PrimaryKeyConstraint("network", "first_offset", name=op.f("reserved_ranges_pkey")),
        comment="what the owner of a network keeps for itself; disjoint",
    )
    op.create_table(
        "segments",
        sa.Column("network", sa.Text, primary_key=True),
        sa.Column(
            "last_offset", OFFSET, primary_key=True, comment="its key, so that the common step does not change it"
        ),
        sa.Column("next_offset", OFFSET, nullable=False, comment="the lowest of it; the common step raises it by one"),
        *has_digits("segments", "last_offset", "next_offset"),
        sa.CheckConstraint("next_offset <= last_offset", name=op.f("segments_next_within_segment")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("segments_network_fkey")),
        sa.PrimaryKeyConstraint("network", "last_offset", name=op.f("segments_pkey")),
        comment="runs of usable addresses that were never given out; disjoint",
    )


def create_addresses() -> None:
    op.create_table(
        "addresses",
        sa.Column("network", sa.Text, primary_key=True),
        sa.Column("ip_offset", OFFSET, primary_key=True),
        sa.Column("ip", sa.Text, nullable=False, comment="the address itself, canonical"),
        sa.Column("vm_id", sa.Text, nullable=True, comment="who has it; null: nobody, it came back"),
        sa.Column("hostname", sa.Text, nullable=True, comment="null: none was given"),
        sa.Column("owner", sa.Text, nullable=True, comment="who asked for it; null: nobody was named"),
        sa.Column("seq", sa.BigInteger, nullable=True, comment="of the command that gave it out; null: nobody has it"),
        sa.Column("assigned_at", sa.BigInteger, nullable=True, comment="null: nobody has it"),
        sa.Column(
            "resting_until",
            sa.BigInteger,
            nullable=True,
            comment="null: somebody has it, or it can be given out at once",
        ),
        *has_digits("addresses", "ip_offset"),
        sa.CheckConstraint("length(vm_id) BETWEEN 1 AND 128", name=op.f("addresses_vm_id_length")),
        sa.CheckConstraint("(vm_id IS NULL) = (seq IS NULL)", name=op.f("addresses_assigned_by_a_command")),
        sa.CheckConstraint("(vm_id IS NULL) = (assigned_at IS NULL)", name=op.f("addresses_assigned_at_an_instant")),
        sa.CheckConstraint(
            "vm_id IS NOT NULL OR (hostname IS NULL AND owner IS NULL)", name=op.f("addresses_nothing_of_nobody")
        ),
        sa.CheckConstraint("vm_id IS NULL OR resting_until IS NULL", name=op.f("addresses_nobody_has_a_resting_one")),
        sa.ForeignKeyConstraint(["network"], ["networks.network"], name=op.f("addresses_network_fkey")),
        sa.PrimaryKeyConstraint("network", "ip_offset", name=op.f("addresses_pkey")),
        comment="every address that was ever given out, once: assigned, free or resting",
    )
    is_assigned = sa.text("vm_id IS NOT NULL")
    op.create_index(
        "addresses_by_vm",
        "addresses",
        ["network", "vm_id"],
        unique=True,
        postgresql_where=is_assigned,
        sqlite_where=is_assigned,
    )
    is_free, is_resting = sa.text("vm_id IS NULL AND resting_until IS NULL"), sa.text("resting_until IS NOT NULL")
    op.create_index(
        "addresses_free", "addresses", ["network", "ip_offset"], postgresql_where=is_free, sqlite_where=is_free
    )
    op.create_index(
        "addresses_resting",
        "addresses",
        ["network", "resting_until", "ip_offset"],
        postgresql_where=is_resting,
        sqlite_where=is_resting,
    )


def create_history() -> None:
    op.create_table(
        "past_assignments",
        sa.Column("network", sa.Text, primary_key=True, comment="its name; it may have been deleted since"),
        sa.Column("ip", sa.Text, primary_key=True),
        sa.Column(
            "seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="of the command that gave it out"
        ),
        sa.Column("vm_id", sa.Text, nullable=False),
        sa.Column("hostname", sa.Text, nullable=True, comment="the last one"),
        sa.Column("owner", sa.Text, nullable=True),
        sa.Column("assigned_at", sa.BigInteger, nullable=False),
        sa.Column("released_seq", sa.BigInteger, nullable=False, comment="of the command that took it back"),
        sa.Column("released_at", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            "released_seq > seq AND released_at >= assigned_at", name=op.f("past_assignments_released_after_assigned")
        ),
        sa.PrimaryKeyConstraint("network", "ip", "seq", name=op.f("past_assignments_pkey")),
        comment="assignments that are over; rows are only ever added, the database refuses anything else",
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(
            """
CREATE FUNCTION past_assignments_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'past_assignments are never changed' USING ERRCODE = 'restrict_violation';
END
$$"""
        )
        op.execute(
            """
CREATE TRIGGER past_assignments_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON past_assignments
FOR EACH STATEMENT EXECUTE FUNCTION past_assignments_stay()"""
        )
    else:
        for event in ("update", "delete"):
            op.execute(
                f"""
CREATE TRIGGER past_assignments_no_{event} BEFORE {event.upper()} ON past_assignments
BEGIN SELECT RAISE(ABORT, 'past_assignments are never changed'); END"""
            )


def downgrade() -> None:
    for table in ("past_assignments", "addresses", "segments", "reserved_ranges", "networks", "lane_addresses"):
        op.drop_table(table)
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION past_assignments_stay")
        for book in BOOKS:
            op.execute(f"DROP TABLE {book}_addresses")
    else:
        for book in BOOKS:
            op.execute(f"DELETE FROM {book} WHERE lane = 'addresses'")  # noqa: S608 (three words of ours)
