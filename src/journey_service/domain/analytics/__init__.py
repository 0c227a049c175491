"""Metrics: aggregates, rollups, snapshots, visit durations, churn prediction."""
