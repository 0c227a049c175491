"""Routes of reports, drill-down, and snapshots."""
