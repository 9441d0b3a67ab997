"""The table of all kinds of events, written from the modules' own words: `make docs` writes it, a test compares it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from marketplace.foundation.kinds import Kind
from marketplace.worker import KINDS
from tests.structure.tree import ROOT

FILE = ROOT / "docs" / "guide" / "events.md"
BEGIN, END = "<!-- the table is written by `make docs` -->\n", "<!-- up to here -->"
HEAD = "| kind | topic | read by | what was accepted | `data` besides `type` |\n|---|---|---|---|---|\n"


def render() -> str:
    """Return the table."""
    return HEAD + "".join(map(_row, KINDS.all))


def rewrite(text: str) -> str:
    """Return the document with the table as it should be."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{render()}\n{END}", text, flags=re.DOTALL)


def _row(kind: Kind) -> str:
    fields = ", ".join(f"`{field.encode_name}`" for field in msgspec.structs.fields(kind.data))
    reader = "everybody" if kind.is_public else "its member"
    return f"| `{kind.name}` | `{kind.topic}` | {reader} | {kind.meaning} | {fields} |\n"


if __name__ == "__main__":
    Path(FILE).write_text(rewrite(FILE.read_text(encoding="utf-8")), encoding="utf-8")
