"""Transitions of one journey: their causes, and the changes that each makes to the relationship."""
