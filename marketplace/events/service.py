"""What the lane `money` runs for events."""

from __future__ import annotations

from marketplace.database import Apply
from marketplace.events import cursors
from marketplace.events.model import Advance


def handlers() -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it."""
    return {Advance: cursors.apply}
