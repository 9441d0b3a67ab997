"""Find addresses by their hostname, in whatever case: what people search by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    has_hostname = sa.text("hostname IS NOT NULL")
    op.create_index(
        "addresses_by_hostname",
        "addresses",
        ["network", sa.text("lower(hostname)"), "ip_offset"],
        postgresql_where=has_hostname,
        sqlite_where=has_hostname,
    )


def downgrade() -> None:
    op.drop_index("addresses_by_hostname", "addresses")
