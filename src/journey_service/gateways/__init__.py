"""Calls out of the house: one file per system."""
