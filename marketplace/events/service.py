"""What the lane `money` runs for events."""

from __future__ import annotations

from marketplace.database import Apply
from marketplace.events import cursors, deliveries, webhooks
from marketplace.events import webhook_model as model
from marketplace.events.model import Advance


def handlers() -> dict[type, Apply]:
    """Return what the lane needs: for each kind of command the function that runs it."""
    return {
        Advance: cursors.apply,
        **dict.fromkeys(webhooks.COMMANDS, webhooks.apply),
        model.FanOut: deliveries.fan_out,
        model.Claim: deliveries.claim,
        model.Record: deliveries.record,
        model.DropPending: deliveries.drop_pending,
        model.ForgetDeliveries: deliveries.forget,
    }
