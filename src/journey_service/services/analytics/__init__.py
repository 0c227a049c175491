"""Reports, drill-down from a metric to its customers, rollups, snapshots."""
