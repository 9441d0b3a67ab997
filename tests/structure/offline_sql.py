"""All migrations as one script for Postgres: `python -m tests.structure.offline_sql` prints what the linter reads."""

from __future__ import annotations

import io
import re
import sys

from alembic import command

from marketplace.database import schema

ALEMBICS_OWN = re.compile(r"^CREATE TABLE alembic_version \(.*?^\);\n", re.DOTALL | re.MULTILINE)


def render() -> str:
    """Return the statements that bring an empty database to the newest revision."""
    script = io.StringIO()
    configuration = schema.configuration("postgresql://")
    configuration.output_buffer = script
    command.upgrade(configuration, "head", sql=True)
    return ALEMBICS_OWN.sub("", script.getvalue())


if __name__ == "__main__":
    sys.stdout.write(render())
