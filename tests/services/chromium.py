"""A real browser without a screen: Chromium as Debian packages it, driven by Playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@contextmanager
def running() -> Iterator[Browser]:
    """Start the browser; skip the test where it cannot be had, and fail under CI."""
    executable = shutil.which("chromium")
    if executable is None:
        unavailable("there is no chromium: on Debian, apt install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        unavailable("playwright is not installed: it is one of the development requirements")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


def unavailable(reason: str) -> NoReturn:
    """Skip; fail under CI, where everything has to be there."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{reason}, and CI has to run these tests", pytrace=False)
    pytest.skip(reason)
