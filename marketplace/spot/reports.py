"""The reports: views named `report_NAME`, made by migrations, described column by column in docs/reporting.md."""

from __future__ import annotations

from marketplace.database.reports import read_report

__all__ = ["REPORTS", "read_report"]

REPORTS = (
    "spot_leases",
    "spot_bill_lines",
    "spot_bills",
    "spot_revenue",
    "spot_evictions",
    "spot_utilisation",
    "spot_value",
)
