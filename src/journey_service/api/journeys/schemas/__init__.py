"""Request and response schemas of the journeys routes."""
