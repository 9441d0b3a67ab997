"""The table of all errors, written from the classes themselves: `make docs` writes it, a test compares it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path

import marketplace
from marketplace.foundation.errors import Refusal
from tests.structure.tree import ROOT

FILE = ROOT / "docs" / "errors.md"
BEGIN = "<!-- the table is written by `make docs` -->"

TEXT = """# Errors

Every error is a problem document (RFC 9457, `application/problem+json`): `type`, `title`, `status`, `detail`, and a
`code` that stays as it is from version to version. Program against the code; the detail is for people. A wrong field
is named by `field`; further members tell what the refusal is about.

Whether to try again:

- **503 with Retry-After**: nothing happened, the same request may be sent again after that many seconds.
- **503 without it**: nothing happened, and the same request would meet the same fate for now.
- **500 `outcome_unknown`**: the database was lost while it committed. Ask with a read what became of the request, or
  send it again with the same Idempotency-Key.
- **anything else**: the same request ends in the same way; change it first.
"""


def codes() -> dict[str, type[Refusal]]:
    """Return every code with its class. Two classes with one code are a mistake, found by the test."""
    return {refusal.code: refusal for refusal in refusals()}


def refusals() -> list[type[Refusal]]:
    """Return every class of refusal that can reach a caller, sorted by code."""
    for module in pkgutil.walk_packages(marketplace.__path__, "marketplace."):
        if not module.name.endswith("__main__") and "_migrations" not in module.name:
            importlib.import_module(module.name)
    found = {refusal for refusal in _below(Refusal) if "code" in vars(refusal)}
    return sorted((refusal for refusal in found if refusal.__module__.startswith("marketplace.")), key=lambda r: r.code)


def render() -> str:
    """Return the whole document."""
    from marketplace.http.problems import status_of

    rows = [f"| `{r.code}` | {status_of(r)} | {r.title} | {_meaning(r)} |" for r in refusals()]
    return "\n".join([TEXT, BEGIN, "", "| code | status | title | meaning |", "|---|---|---|---|", *rows, ""])


def _below(kind: type[Refusal]) -> set[type[Refusal]]:
    return {kind for direct in kind.__subclasses__() for kind in {direct, *_below(direct)}}


def _meaning(refusal: type[Refusal]) -> str:
    """Return the first paragraph of the class's own docstring on one line."""
    own = vars(refusal).get("__doc__") or ""
    return " ".join(inspect.cleandoc(own).split("\n\n")[0].split())


if __name__ == "__main__":
    Path(FILE).write_text(render(), encoding="utf-8")
