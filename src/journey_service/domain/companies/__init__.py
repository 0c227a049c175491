"""A company's policy: scoring, messaging and retention settings."""
