"""Companies and their policy: scoring, messaging and retention settings."""
