"""The lane `money`, which more than one module writes to: wallets, members, webhooks, and what is paid for.

They share a lane so that a bid and the money it holds, or an eviction and its bill, are one commit.
"""

from __future__ import annotations

from marketplace.database.metadata import lane_table

LANE = "money"

turn = lane_table(LANE)
