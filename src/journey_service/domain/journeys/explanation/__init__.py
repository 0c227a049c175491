"""Explanations: what moves a customer next, and what is missing for it."""
