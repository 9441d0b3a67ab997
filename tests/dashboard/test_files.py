"""What pages load: it is ours or somebody's who is named, unchanged, and comes from nowhere else."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from marketplace.dashboard import files
from tests.dashboard.browsing import Browser
from tests.structure import tree

VENDORED = (Path("marketplace/dashboard/assets"), Path("tests/dashboard/assets"))
LINE = re.compile(r"\| (\S+) \| (\S+) \| (\d+\.\d+\.\d+) \| (.+?), (LICENSE\S*) \| ([0-9a-f]{64}) \|")
PAGES = (
    *("hours", "spot", "auctions", "addresses", "addresses/default", "wallet"),
    *("admin", "admin/pools", "admin/members", "admin/keys", "admin/webhooks"),
)


@pytest.mark.parametrize("folder", VENDORED, ids=str)
def test_every_file_of_somebody_else_is_told_with_version_licence_and_checksum(folder: Path) -> None:
    told = {found[0]: found for found in LINE.findall(tree.text(folder / "README.md"))}
    there = {path.name for path in (tree.ROOT / folder).iterdir()}
    licences = {name for name in there if name.startswith("LICENSE")}
    assert told.keys() == there - licences - {"README.md"}
    assert {found[4] for found in told.values()} == licences
    for name, _, _, _, _, checksum in told.values():
        assert hashlib.sha256((tree.ROOT / folder / name).read_bytes()).hexdigest() == checksum, name


def test_what_a_page_loads_is_there_and_stays_what_it_is(browser: Browser) -> None:
    for name, address in files.ADDRESSES.items():
        answer = browser.get(address)
        assert answer.status_code == 200, name
        assert hashlib.sha256(answer.content).hexdigest()[:16] in address
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].startswith(("text/javascript", "text/css", "image/svg+xml"))


@pytest.mark.parametrize("name", ["README.md", "dashboard.css", "..%2fpages.py", "dashboard.0000000000000000.css"])
def test_nothing_else_is_given_out(browser: Browser, name: str) -> None:
    assert browser.get(f"/dashboard/files/{name}").status_code == 404


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_other_host_and_has_nothing_inline(browser: Browser, page: str) -> None:
    html = browser.html(f"/dashboard/{page}")
    assert re.findall(r'(?:src|href|action)="(?!/|#|\?)[^"]*"', html) == []
    assert "//" not in re.sub(r'placeholder="[^"]*"', "", html).replace("<!doctype", "")
    assert re.search(r"<script(?![^>]* src=)", html) is None
    assert re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on", html) is None


def test_our_styles_and_scripts_stay_small_enough_to_read() -> None:
    static = tree.ROOT / "marketplace/dashboard/static"
    assert len((static / "dashboard.css").read_text().splitlines()) <= 170
    assert len((static / "dashboard.js").read_text().splitlines()) <= 250


def test_our_styles_load_nothing() -> None:
    css = (tree.ROOT / "marketplace/dashboard/static/dashboard.css").read_text()
    assert "@import" not in css
    assert set(re.findall(r"url\(([^)]*)\)", css)) <= {"#free"}
