"""Inbound events: types, parsing, and the format of import files."""
