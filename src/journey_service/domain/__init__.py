"""Decides: stages, rules, facts, scores. Standard library only; no clock, no I/O."""
