"""The reports: views named `report_NAME`, made by migrations, described column by column in docs/reporting.md."""

from __future__ import annotations

from marketplace.database.reports import read_report

__all__ = ["REPORTS", "read_report"]

REPORTS = (
    "auction_fill_rate",
    "auction_fill_times",
    "auction_surplus",
    "auction_solvers",
)
