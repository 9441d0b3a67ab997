"""What the documents hold that can be checked: fenced blocks, tables, links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.structure.tree import ROOT

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def markdown() -> list[str]:
    """Return the names of all documents for people, relative to the root."""
    found = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def blocks(name: str, language: str) -> list[str]:
    """Return a document's fenced blocks of a language."""
    return [body for kind, body in FENCE.findall(text(name)) if kind == language]


def section(name: str, heading: str) -> str:
    """Return what stands below a heading, up to the next one of any level."""
    below = re.split(rf"^#+ {re.escape(heading)}$", text(name), maxsplit=1, flags=re.MULTILINE)[1]
    return re.split(r"^#+ ", below, maxsplit=1, flags=re.MULTILINE)[0]


def table(markdown: str) -> Iterator[list[str]]:
    """Yield the cells of a table's rows, its header left out."""
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    for row in rows[2:]:
        yield [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", row)[1:-1]]


def anchors(name: str) -> set[str]:
    """Return the anchors that a document's headings make."""
    without_blocks = FENCE.sub("", text(name))
    headings = re.findall(r"^#+ (.+)$", without_blocks, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(name: str) -> Iterator[tuple[Path, str]]:
    """Yield the file and the anchor of every link of a document into this tree."""
    for target in LINK.findall(FENCE.sub("", text(name))):
        if "://" not in target and not target.startswith("mailto:"):
            path, _, anchor = target.partition("#")
            yield ((ROOT / name).parent / path if path else ROOT / name).resolve(), anchor
