"""List supplies and addresses by their owner: what a member asks for by its key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    has_provider = sa.text("provider IS NOT NULL")
    op.create_index(
        "supplies_by_provider",
        "supplies",
        ["market", "provider", "supply_id"],
        postgresql_where=has_provider,
        sqlite_where=has_provider,
    )
    has_owner = sa.text("owner IS NOT NULL")
    op.create_index(
        "addresses_by_owner",
        "addresses",
        ["network", "owner", "ip_offset"],
        postgresql_where=has_owner,
        sqlite_where=has_owner,
    )


def downgrade() -> None:
    op.drop_index("addresses_by_owner", "addresses")
    op.drop_index("supplies_by_provider", "supplies")
