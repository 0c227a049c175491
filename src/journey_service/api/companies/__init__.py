"""Routes of companies and their settings."""
