"""The data dictionary of the address pool. Only the lane `addresses` writes these tables.

Offsets are addresses minus the first address of their network. They are text, 32 hexadecimal digits, so that they hold
128 bits, and compare as the numbers do, on both engines alike. Instants (`*_at`, `*_until`) are microseconds since
1970-01-01T00:00:00Z. Every primary key begins with the network, by which the lane can be split one day.
"""

from __future__ import annotations

import sqlalchemy as sa

from marketplace.database.metadata import lane_table, metadata

LANE = "addresses"
DIGITS = 32

turn = lane_table(LANE)

# Compared byte by byte, whatever the database's own collation is; SQLite's BINARY is the same.
Offset = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def has_digits(*columns: str) -> list[sa.CheckConstraint]:
    """Return the constraints that keep such a column comparable: fixed width, lowercase hexadecimal."""
    return [
        sa.CheckConstraint(
            f"length({column}) = {DIGITS} AND ltrim({column}, '0123456789abcdef') = ''", name=f"{column}_is_hexadecimal"
        )
        for column in columns
    ]


networks = sa.Table(
    "networks",
    metadata,
    sa.Column("network", sa.Text, primary_key=True, comment="its name"),
    sa.Column("seq", sa.BigInteger, nullable=False, comment="of the command that made it; the lowest is the default"),
    sa.Column("cidr", sa.Text, nullable=False, comment="canonical, as 192.168.1.0/24"),
    sa.Column("gateway", sa.Text, nullable=True, comment="one of its hosts, never given out; null: it has none"),
    sa.Column("allocation", sa.Text, nullable=False, comment="lowest or random: which free address is given out"),
    sa.Column("reuse_delay_seconds", sa.BigInteger, nullable=False, comment="how long a released address rests"),
    sa.Column("version", sa.SmallInteger, nullable=False, comment="of IP: 4 or 6"),
    sa.Column("base", Offset, nullable=False, comment="its first address as a number"),
    sa.Column("last", Offset, nullable=False, comment="its last address as a number"),
    sa.Column("total", sa.Text, nullable=False, comment="hosts, a decimal number: it may be 2^128 - 1"),
    sa.Column("reserved", sa.Text, nullable=False, comment="hosts never given out, the gateway included; decimal"),
    sa.Column("assigned", sa.BigInteger, nullable=False, comment="addresses that somebody has"),
    sa.Column("free", sa.BigInteger, nullable=False, comment="addresses that came back and can be given out"),
    sa.Column("resting", sa.BigInteger, nullable=False, comment="addresses that came back and rest"),
    sa.Column("created_at", sa.BigInteger, nullable=False),
    *has_digits("base", "last"),
    sa.CheckConstraint("base <= last", name="base_before_last"),
    sa.CheckConstraint("version IN (4, 6)", name="version_known"),
    sa.CheckConstraint("allocation IN ('lowest', 'random')", name="allocation_known"),
    sa.CheckConstraint("reuse_delay_seconds >= 0", name="reuse_delay_not_negative"),
    sa.CheckConstraint("assigned >= 0 AND free >= 0 AND resting >= 0", name="counts_not_negative"),
    sa.UniqueConstraint("seq", name="networks_seq_key"),
    # Overlap: the network with the highest base not above another one's last is the only one that may reach into it.
    sa.UniqueConstraint("version", "base", name="networks_version_base_key"),
    comment="the networks there are; no two overlap",
)

reserved_ranges = sa.Table(
    "reserved_ranges",
    metadata,
    sa.Column("network", sa.Text, sa.ForeignKey("networks.network"), primary_key=True),
    sa.Column("first_offset", Offset, primary_key=True),
    sa.Column("last_offset", Offset, nullable=False),
    *has_digits("first_offset", "last_offset"),
    sa.CheckConstraint("first_offset <= last_offset", name="first_before_last"),
    comment="what the owner of a network keeps for itself; disjoint",
)

segments = sa.Table(
    "segments",
    metadata,
    sa.Column("network", sa.Text, sa.ForeignKey("networks.network"), primary_key=True),
    sa.Column("last_offset", Offset, primary_key=True, comment="its key, so that the common step does not change it"),
    sa.Column("next_offset", Offset, nullable=False, comment="the lowest of it; the common step raises it by one"),
    *has_digits("last_offset", "next_offset"),
    sa.CheckConstraint("next_offset <= last_offset", name="next_within_segment"),
    comment="runs of usable addresses that were never given out; disjoint",
)

addresses = sa.Table(
    "addresses",
    metadata,
    sa.Column("network", sa.Text, sa.ForeignKey("networks.network"), primary_key=True),
    sa.Column("ip_offset", Offset, primary_key=True),
    sa.Column("ip", sa.Text, nullable=False, comment="the address itself, canonical"),
    sa.Column("vm_id", sa.Text, nullable=True, comment="who has it; null: nobody, it came back"),
    sa.Column("hostname", sa.Text, nullable=True, comment="null: none was given"),
    sa.Column("owner", sa.Text, nullable=True, comment="who asked for it; null: nobody was named"),
    sa.Column("seq", sa.BigInteger, nullable=True, comment="of the command that gave it out; null: nobody has it"),
    sa.Column("assigned_at", sa.BigInteger, nullable=True, comment="null: nobody has it"),
    sa.Column(
        "resting_until", sa.BigInteger, nullable=True, comment="null: somebody has it, or it can be given out at once"
    ),
    *has_digits("ip_offset"),
    sa.CheckConstraint("length(vm_id) BETWEEN 1 AND 128", name="vm_id_length"),
    sa.CheckConstraint("(vm_id IS NULL) = (seq IS NULL)", name="assigned_by_a_command"),
    sa.CheckConstraint("(vm_id IS NULL) = (assigned_at IS NULL)", name="assigned_at_an_instant"),
    sa.CheckConstraint("vm_id IS NOT NULL OR (hostname IS NULL AND owner IS NULL)", name="nothing_of_nobody"),
    sa.CheckConstraint("vm_id IS NULL OR resting_until IS NULL", name="nobody_has_a_resting_one"),
    # With the primary key, what makes a collision impossible, whoever writes. Those that nobody has are left out:
    # SQLite would look for the lowest of them here, and sort them all.
    sa.Index(
        "addresses_by_vm",
        "network",
        "vm_id",
        unique=True,
        postgresql_where=sa.text("vm_id IS NOT NULL"),
        sqlite_where=sa.text("vm_id IS NOT NULL"),
    ),
    # The lowest free one.
    sa.Index(
        "addresses_free",
        "network",
        "ip_offset",
        postgresql_where=sa.text("vm_id IS NULL AND resting_until IS NULL"),
        sqlite_where=sa.text("vm_id IS NULL AND resting_until IS NULL"),
    ),
    # The longest rested ones.
    sa.Index(
        "addresses_resting",
        "network",
        "resting_until",
        "ip_offset",
        postgresql_where=sa.text("resting_until IS NOT NULL"),
        sqlite_where=sa.text("resting_until IS NOT NULL"),
    ),
    # What people search by, in whatever case.
    sa.Index(
        "addresses_by_hostname",
        "network",
        sa.text("lower(hostname)"),
        "ip_offset",
        postgresql_where=sa.text("hostname IS NOT NULL"),
        sqlite_where=sa.text("hostname IS NOT NULL"),
    ),
    # A member's own.
    sa.Index(
        "addresses_by_owner",
        "network",
        "owner",
        "ip_offset",
        postgresql_where=sa.text("owner IS NOT NULL"),
        sqlite_where=sa.text("owner IS NOT NULL"),
    ),
    comment="every address that was ever given out, once: assigned, free or resting",
)

past_assignments = sa.Table(
    "past_assignments",
    metadata,
    sa.Column("network", sa.Text, primary_key=True, comment="its name; it may have been deleted since"),
    sa.Column("ip", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False, comment="of the command that gave it out"),
    sa.Column("vm_id", sa.Text, nullable=False),
    sa.Column("hostname", sa.Text, nullable=True, comment="the last one"),
    sa.Column("owner", sa.Text, nullable=True),
    sa.Column("assigned_at", sa.BigInteger, nullable=False),
    sa.Column("released_seq", sa.BigInteger, nullable=False, comment="of the command that took it back"),
    sa.Column("released_at", sa.BigInteger, nullable=False),
    sa.CheckConstraint("released_seq > seq AND released_at >= assigned_at", name="released_after_assigned"),
    comment="assignments that are over; rows are only ever added, the database refuses anything else",
)
