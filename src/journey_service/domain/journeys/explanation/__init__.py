"""Explanations: why a customer is in a stage, upcoming moves, and what is missing for each stage."""
