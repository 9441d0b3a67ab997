"""What the documents say of settings, metrics, decisions and each other is so."""

from __future__ import annotations

import re
import tomllib

import msgspec
import prometheus_client
import pytest

import marketplace.app  # noqa: F401 (it declares every metric)
from marketplace.addresses import meters
from marketplace.auctions import meters as auctions_meters
from marketplace.events import meters as events_meters
from marketplace.foundation.settings import Settings
from tests.reports import documents
from tests.structure.tree import ROOT

OPERATIONS = "docs/operations.md"
SPOKEN = {"none": (None, ()), "by the database": (None,), "true": (True,), "false": (False,)}


def test_every_setting_is_documented_with_its_default() -> None:
    rows = list(documents.table(documents.section(OPERATIONS, "Settings")))
    fields = msgspec.structs.fields(Settings)
    assert [row[0] for row in rows] == [field.name for field in fields]
    for (name, written, _), field in zip(rows, fields, strict=True):
        assert field.default in SPOKEN.get(written, (written,)) or str(field.default) == written, name


def test_every_metric_is_documented_and_no_other() -> None:
    written = re.findall(r"^\| `(marketplace_\w+)`", documents.text(OPERATIONS), re.MULTILINE)
    ours = [
        *events_meters.gauges(0, overdue_seconds=0),
        *events_meters.lag_gauges([], now=0),
        *auctions_meters.gauges([], now=0),
    ]
    found = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in [*prometheus_client.REGISTRY.collect(), *meters.gauges([], alarm_percent=90), *ours]
        if metric.name.startswith("marketplace_")
    }
    assert set(written) == found
    assert len(written) == len(found)


def test_every_settings_file_in_the_documents_can_be_used() -> None:
    files = [block for name in documents.markdown() for block in documents.blocks(name, "toml")]
    assert files
    for file in files:
        msgspec.convert(tomllib.loads(file), Settings, strict=False)


@pytest.mark.parametrize("name", documents.markdown())
def test_links_lead_somewhere(name: str) -> None:
    for path, anchor in documents.links(name):
        assert path.exists(), f"{name} links to {path}"
        if anchor:
            assert anchor in documents.anchors(str(path.relative_to(ROOT))), f"{name} links to #{anchor} of {path.name}"


def test_decisions_are_numbered_and_listed() -> None:
    files = sorted(path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    rows = list(documents.table(documents.text("docs/decisions/README.md")))
    assert [cells[0] for cells in rows] == [f"[{name[:4]}]({name})" for name in files]
    for (_, title), name in zip(rows, files, strict=True):
        assert documents.text(f"docs/decisions/{name}").startswith(f"# {name[:4]} {title}\n"), name


def test_a_decision_tells_what_else_there_was_and_what_follows() -> None:
    for path in (ROOT / "docs/decisions").glob("[0-9]*.md"):
        headings = re.findall(r"^## (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert [heading for heading in headings if heading != "Evidence"] == [
            "Context",
            "Ways not taken",
            "Decision",
            "Consequences",
        ], path.name
