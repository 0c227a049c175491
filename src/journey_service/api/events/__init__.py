"""Routes of events and imports."""
