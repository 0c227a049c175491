"""Request and response schemas of the companies routes."""
