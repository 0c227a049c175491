"""Metrics: aggregates, rollups, snapshots, durations, churn dates."""
