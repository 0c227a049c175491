"""Inbound events: types, parsing, and reading import files."""
