"""Queries of metrics and drill-down; storage of rollups, histograms and snapshots."""
