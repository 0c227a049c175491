"""Request and response schemas of the stages routes."""
