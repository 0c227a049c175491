"""Request and response schemas of the analytics routes."""
