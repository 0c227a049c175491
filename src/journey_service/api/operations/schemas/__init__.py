"""Request and response schemas of the operations routes."""
