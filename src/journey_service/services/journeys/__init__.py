"""Journeys: the transaction that changes them, evaluation, rescoring, rollout of a map or policy."""
