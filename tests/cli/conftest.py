"""What the commands are run in."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the width of the terminal that the tests are run from, which the test runner hands on."""
    monkeypatch.delenv("COLUMNS", raising=False)
