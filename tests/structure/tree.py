"""What is in this tree: its files as git sees them, its Python as syntax trees."""

from __future__ import annotations

import ast
import functools
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CODE = ("marketplace/", "migrations/", "tests/", "benchmarks/")


@functools.cache
def files() -> tuple[Path, ...]:
    """Return every file that is tracked or about to be, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        names = sorted({name for name in listed.stdout.split("\0") if name})
    else:  # an unpacked archive has no git, and nothing but its files
        names = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if ".venv" not in path.parts)
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


@functools.cache
def python_files() -> tuple[Path, ...]:
    return tuple(path for path in files() if path.suffix == ".py" and str(path).startswith(CODE))


def text(path: Path) -> str:
    """Return a file's text, empty where it is not text."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@functools.cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(text(path), filename=str(path))
