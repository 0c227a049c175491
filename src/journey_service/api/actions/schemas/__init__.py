"""Request and response schemas of the actions routes."""
