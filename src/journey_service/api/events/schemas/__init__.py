"""Request and response schemas of the events routes."""
