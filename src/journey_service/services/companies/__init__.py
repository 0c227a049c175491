"""Companies: creation and settings."""
