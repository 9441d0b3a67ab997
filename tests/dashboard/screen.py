"""What somebody sees: pages in a real browser, whose complaints and requests are noted."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

NARROW, WIDE = (380, 800), (1600, 1000)
FOLDER = "MARKETPLACE_TEST_SCREENSHOTS"
"""A variable that names the folder for screenshots, for somebody to look at."""
AXE = Path(__file__).parent / "assets" / "axe.min.js"
SECONDS = 20_000
"""How long to wait for what has to come, in milliseconds: the machine may be busy."""


class Screen:
    """One visitor's browser. At the end nothing may have been complained of, and nobody else been asked."""

    def __init__(self, context: BrowserContext, url: str, folder: Path) -> None:
        self.context = context
        self.url = url
        self.folder = Path(os.environ.get(FOLDER) or folder)
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        context.set_default_timeout(SECONDS)

    def open(self, path: str, *, is_live: bool = True) -> Page:
        """Open a page, and wait until it follows its stream."""
        page = self.context.new_page()
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self._note("error", str(error)))
        page.on("request", lambda request: self._look(request.url))
        page.goto(self.url + path)
        if is_live:
            page.wait_for_selector("#live[data-state=live]")
        return page

    def act_as(self, username: str) -> None:
        self.context.add_cookies([{"name": "marketplace_acting", "value": username, "url": self.url}])

    def picture(self, page: Page, name: str) -> None:
        """Keep a picture of a page: all of it where somebody wants to look, else what was in the window."""
        width = (page.viewport_size or {"width": 0})["width"]
        self.folder.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=self.folder / f"{name}-{width}.png", full_page=FOLDER in os.environ)

    def violations(self, page: Page) -> list[str]:
        """Return what axe-core finds serious, a line each."""
        # By the debugger, which the page's own policy does not bind.
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found: dict[str, Any] = page.evaluate("() => axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['id']}: {node['target']} {node.get('failureSummary', '')}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def _look(self, url: str) -> None:
        if not url.startswith((f"{self.url}/", "data:", "blob:")):
            self.strangers.append(url)


def overflows(page: Page) -> bool:
    """Tell whether a page is wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def number_in(text: str) -> int:
    found = re.search(r"[\d,]+", text)
    assert found, text
    return int(found[0].replace(",", ""))
