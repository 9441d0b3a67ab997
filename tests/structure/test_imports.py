"""The architecture is a test: the import contracts of pyproject.toml hold, and cover every module."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.structure import tree

HEAVY = ("litestar", "sqlalchemy", "alembic", "asyncpg", "aiosqlite", "uvicorn")


def test_the_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-logo"], cwd=tree.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_module_of_the_market_declares_what_is_inside_it() -> None:
    contracts = tomllib.loads(tree.text(Path("pyproject.toml")))["tool"]["importlinter"]["contracts"]
    declared = {contract["id"]: contract for contract in contracts}
    modules = {
        f"marketplace.{path.parts[1]}"
        for path in tree.python_files()
        if path.parts[0] == "marketplace" and path.name in ("service.py", "tables.py", "sql.py")
    }
    layered = [contract for name, contract in declared.items() if name.startswith("inside-")]
    inside = {container for contract in layered for container in contract["containers"]}
    assert modules <= inside, "give the new module a contract for its layers"
    assert modules <= {f"marketplace.{name}" for name in declared}, "give the new module a contract for its front door"


def test_a_module_that_is_built_is_no_longer_optional() -> None:
    contracts = tomllib.loads(tree.text(Path("pyproject.toml")))["tool"]["importlinter"]["contracts"]
    floors = next(contract["layers"] for contract in contracts if contract["id"] == "floors")
    planned = {name.strip("()") for layer in floors for name in layer.replace(":", "|").split(" | ") if "(" in name}
    built = {path.parts[1].removesuffix(".py") for path in tree.python_files() if path.parts[0] == "marketplace"}
    assert {name.strip() for name in planned} & built == set()


@pytest.mark.parametrize("module", ["marketplace", "marketplace.client", "marketplace.wire.hours", "marketplace.cli"])
def test_what_starts_quickly_loads_neither_web_nor_database(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=tree.ROOT, capture_output=True, text=True, check=True)
    assert set(loaded.stdout.split()) & set(HEAVY) == set()
