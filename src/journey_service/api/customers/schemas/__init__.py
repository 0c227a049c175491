"""Request and response schemas of the customers routes."""
