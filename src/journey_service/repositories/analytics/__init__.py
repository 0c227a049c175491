"""Queries of reports and drill-down; storage of rollups and snapshots."""
