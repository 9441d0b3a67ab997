from __future__ import annotations

import subprocess
import sys


def test_the_sdk_loads_neither_a_database_nor_a_web_framework() -> None:
    script = (
        "import marketplace.client, sys;"
        "heavy = {'sqlalchemy', 'alembic', 'litestar', 'uvicorn', 'asyncpg', 'aiosqlite'} & set(sys.modules);"
        "ours = {name for name in sys.modules if name.startswith('marketplace.')};"
        "allowed = ('marketplace.client', 'marketplace.wire');"
        "print(sorted(heavy), sorted(name for name in ours if not name.startswith(allowed)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=180)
    assert run.stdout.strip() == "[] []"
