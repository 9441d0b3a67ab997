"""A clock that moves only when a test says so."""

from __future__ import annotations

from marketplace.foundation.clock import SECOND, Instant

NEW_YEAR: Instant = 1_767_225_600 * SECOND
"""2026-01-01T00:00:00Z."""


class SettableClock:
    """Call it for the instant. `advance` takes seconds, and negative ones too: wall clocks do step back."""

    def __init__(self, instant: Instant = NEW_YEAR) -> None:
        self.instant = instant

    def __call__(self) -> Instant:
        return self.instant

    def advance(self, seconds: float) -> Instant:
        self.instant += round(seconds * SECOND)
        return self.instant
